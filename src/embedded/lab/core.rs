//! The rows of the hand-written tables of `core.sql`.
//!
//! Invariant, which the workload builds on: every table has at least its fixed number of rows, with ids from 1 on,
//! whatever the size of the lab.

use super::table::{Fill, Table};
use super::words;
use Fill::*;

const SQL: &str = include_str!("core.sql");

/// Rooms, users, roles, doctors, kinds of tests, reagents, batches and counters that every lab has.
pub(super) const ROOMS: u64 = 16;
pub(super) const USERS: u64 = 20;
pub(super) const ROLES: u64 = 6;
pub(super) const DOCTORS: u64 = 12;
pub(super) const TESTS: u64 = 40;
pub(super) const REAGENTS: u64 = 14;
pub(super) const BATCHES: u64 = 28;
pub(super) const COUNTERS: u64 = 4;
const INSTRUMENTS: u64 = 6;

const ROLE_NAMES: &[&str] = &["admin", "dokter", "analis", "kasir", "perawat", "kepala-laboratorium"];
const MODEL: &[&str] = &["App\\Models\\User"];
const IP: &[&str] = &["10.10.1.21", "10.10.2.7", "192.168.0.15", "2001:db8::1f", "127.0.0.1"];
const AGENT: &[&str] =
    &["Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "okhttp/4.9.3", "Mozilla/5.0 (Linux; Android 13)"];
const ACTIONS: &[&str] = &["masuk", "keluar", "tambah", "ubah", "hapus", "verifikasi", "cetak"];
/// Unix seconds.
const SECONDS: Fill = Int(1_609_459_200, 1_798_761_600);
const RUPIAH: Fill = Decimal(1_000_000, 250_000_000, 2);
const CREATED: (&str, Fill) = ("created_at", Moment(0));
const UPDATED: (&str, Fill) = ("updated_at", MaybeMoment(80));
const DELETED: (&str, Fill) = ("deleted_at", MaybeMoment(4));

type Rows = (&'static str, u64, u64, &'static [(&'static str, Fill)]);

/// Table, fixed rows, weight, columns.
#[rustfmt::skip]
const ROWS: &[Rows] = &[
    ("migrations", 30, 0, &[("id", Id), ("migration", Serial("2021_create_table_")), ("batch", Int(1, 9))]),
    ("ruangan", ROOMS, 0, &[("id", Id), ("kode", Serial("R")), ("nama", Name(words::ROOMS)), ("lantai", Int(-1, 5)),
        ("group", OneOf(&["rawat jalan", "rawat inap", "penunjang"])), ("aktif", Int(0, 1)), CREATED, UPDATED]),
    ("users", USERS, 2, &[("id", Id), ("name", Person), ("email", Email), ("email_verified_at", MaybeMoment(70)),
        ("password", Hex(30)), ("ruangan_id", MaybeParent("ruangan")), ("aktif", Int(0, 1)), CREATED, UPDATED, DELETED]),
    ("roles", ROLES, 0, &[("id", Id), ("name", Name(ROLE_NAMES)), CREATED, UPDATED]),
    ("model_has_roles", USERS, 0, &[("role_id", PairFirst(ROLES)), ("model_type", OneOf(MODEL)), ("model_id", PairSecond(ROLES, 1))]),
    ("dokter", DOCTORS, 1, &[("id", Id), ("user_id", MaybeParent("users")), ("sip", Serial("SIP/446/")), ("nama", Person),
        ("spesialisasi", OneOf(&["umum", "patologi klinik", "penyakit dalam", "anak", "kandungan", "bedah"])),
        ("tarif", RUPIAH), ("mulai_praktik", Time), CREATED, UPDATED, DELETED]),
    ("pasien", 20, 60, &[("id", Id), ("no_rm", Serial("RM-")), ("nik", Nik), ("nama", Person), ("jenis_kelamin", OneOf(&["L", "P"])),
        ("tanggal_lahir", Birthday), ("golongan_darah", OneOf(&["A", "B", "AB", "O"])), ("alamat", Address),
        ("telepon", Phone), ("riwayat", MaybeJson), ("bpjs", Int(0, 1)), CREATED, UPDATED, DELETED]),
    ("jenis_pemeriksaan", TESTS, 0, &[("id", Id), ("kode", Serial("T")), ("nama", Name(words::TESTS)), ("satuan", OneOf(words::UNITS)),
        ("nilai_min", Decimal(0, 50_000, 3)), ("nilai_maks", Decimal(50_000, 900_000, 3)), ("harga", RUPIAH),
        ("desc", MaybeSentence), ("urutan", Int(0, 65_535)), CREATED, UPDATED]),
    ("permintaan_pemeriksaan", 20, 100, &[("id", Id), ("nomor", Serial("LAB-")), ("pasien_id", Parent("pasien")),
        ("dokter_id", MaybeParent("dokter")), ("ruangan_id", Parent("ruangan")),
        ("status", OneOf(&["draft", "diterima", "diproses", "selesai", "selesai", "selesai", "batal"])),
        ("prioritas", Int(0, 2)), ("tanggal", Moment(0)), ("catatan", MaybeSentence), CREATED, UPDATED, DELETED]),
    ("detail_permintaan", 20, 220, &[("id", Id), ("permintaan_id", Parent("permintaan_pemeriksaan")),
        ("jenis_pemeriksaan_id", Parent("jenis_pemeriksaan")), ("harga", RUPIAH), ("diskon", Decimal(0, 5_000, 2)), CREATED, UPDATED]),
    ("hasil_pemeriksaan", 20, 220, &[("id", Id), ("detail_permintaan_id", Parent("detail_permintaan")),
        ("nilai", Decimal(-1_000, 99_999_999, 4)), ("nilai_teks", OneOf(&["", "negatif", "positif", "≥ 1/320", "±"])),
        ("flag", OneOf(&["N", "N", "L", "H", "LL", "HH"])), ("kritis", Int(0, 2)), ("rincian", MaybeJson),
        ("diverifikasi_oleh", MaybeParent("users")), ("diverifikasi_pada", Moment(3)), CREATED, UPDATED]),
    ("sampel", 20, 110, &[("id", Id), ("barcode", Serial("SPL")), ("permintaan_id", Parent("permintaan_pemeriksaan")),
        ("jenis", OneOf(&["darah", "serum", "urin", "feses", "swab"])), ("volume", Decimal(1, 9_999, 3)), ("suhu", Decimal(-8_000, 4_000, 2)),
        ("kondisi", OneOf(&["", "", "lisis", "lisis,ikterik", "lipemik,beku"])), ("diambil_pada", Moment(6)), CREATED, UPDATED]),
    ("dokumen_hasil", 5, 6, &[("id", Id), ("hasil_id", Parent("hasil_pemeriksaan")), ("nama_berkas", Serial("hasil–")),
        ("berkas", Bytes(600)), ("sha256", Bytes(32)), CREATED]),
    ("alat_laboratorium", INSTRUMENTS, 0, &[("id", Id), ("kode", Serial("ALT-")), ("nama", Name(words::INSTRUMENTS)),
        ("ruangan_id", MaybeParent("ruangan")), ("kalibrasi_terakhir", Day), ("konfigurasi", Json), ("aktif", Int(0, 1)), CREATED, UPDATED]),
    ("reagen", REAGENTS, 0, &[("id", Id), ("kode", Serial("RGN-")), ("nama", Name(words::REAGENTS)), ("harga", RUPIAH),
        ("suhu_simpan", Int(-80, 30)), CREATED, UPDATED]),
    ("alat_reagen", INSTRUMENTS * 4, 0, &[("alat_id", PairFirst(INSTRUMENTS)), ("reagen_id", PairSecond(INSTRUMENTS, 1)),
        ("takaran", Decimal(1, 99_999, 3))]),
    ("stok_reagen", BATCHES, 2, &[("id", Id), ("reagen_id", Parent("reagen")), ("nomor_batch", Serial("B")),
        ("jumlah", Decimal(0, 10_000_000, 2)), ("kedaluwarsa", Day), CREATED, UPDATED]),
    ("kasir", COUNTERS, 0, &[("id", Id), ("user_id", Parent("users")), ("kode", Serial("K")), ("shift", OneOf(&["pagi", "siang", "malam"])),
        ("saldo", Decimal(0, 9_999_999_999, 2)), ("buka", Time), UPDATED]),
    ("pembayaran", 20, 70, &[("id", Id), ("nomor", Serial("INV-")), ("permintaan_id", MaybeParent("permintaan_pemeriksaan")),
        ("kasir_id", MaybeParent("kasir")), ("metode", OneOf(&["tunai", "debit", "kredit", "QRIS", "BPJS"])), ("total", RUPIAH),
        ("lunas", Int(0, 1)), ("dibayar_pada", Moment(0)), CREATED, UPDATED]),
    ("skp_tahunan", USERS * 3, 0, &[("id", Id), ("user_id", PairFirst(USERS)), ("tahun", PairSecond(USERS, 2023)),
        ("nilai", Decimal(5_000, 10_000, 2)), ("predikat", OneOf(&["sangat baik", "baik", "cukup", "kurang"])), CREATED, UPDATED]),
    ("log_aktivitas", 20, 120, &[("user_id", MaybeParent("users")), ("aksi", OneOf(ACTIONS)),
        ("objek", OneOf(&["permintaan_pemeriksaan", "hasil_pemeriksaan", "pembayaran"])), ("objek_id", Int(1, 100_000)),
        ("alamat_ip", OneOf(IP)), ("data", MaybeJson), ("created_at", Moment(0))]),
    ("notifications", 5, 20, &[("id", Uuid), ("type", OneOf(&["App\\Notifications\\HasilKritis", "App\\Notifications\\HasilSelesai"])),
        ("notifiable_type", OneOf(MODEL)), ("notifiable_id", Parent("users")), ("data", Json), ("read_at", MaybeMoment(50)), CREATED, UPDATED]),
    ("personal_access_tokens", 5, 3, &[("id", Id), ("tokenable_type", OneOf(MODEL)), ("tokenable_id", Parent("users")),
        ("name", OneOf(&["android", "lis-bridge"])), ("token", Hex(32)), ("abilities", OneOf(&["[\"*\"]"])),
        ("last_used_at", MaybeMoment(60)), CREATED, UPDATED]),
    ("sessions", 5, 10, &[("id", Hex(20)), ("user_id", MaybeParent("users")), ("ip_address", OneOf(IP)), ("user_agent", OneOf(AGENT)),
        ("payload", Hex(150)), ("last_activity", SECONDS)]),
    ("cache", 5, 5, &[("key", Serial("laravel_cache:")), ("value", LongText), ("expiration", SECONDS)]),
    ("jobs", 5, 3, &[("id", Id), ("queue", OneOf(&["default", "cetak", "bridging"])), ("payload", Json), ("attempts", Int(0, 255)),
        ("available_at", SECONDS), ("created_at", SECONDS)]),
    ("failed_jobs", 2, 2, &[("id", Id), ("uuid", Uuid), ("connection", OneOf(&["database"])), ("queue", OneOf(&["default", "bridging"])),
        ("payload", Json), ("exception", LongText), ("failed_at", Moment(0))]),
];

/// The core tables, parents first.
pub(super) fn tables() -> Vec<Table> {
    let mut tables = Vec::new();
    for &(name, fixed, weight, columns) in ROWS {
        let create = create(name).unwrap_or_default();
        let columns = columns.iter().map(|&(name, fill)| (name.into(), fill)).collect();
        tables.push(Table { name: name.into(), create: create.into(), columns, fixed, weight });
    }
    tables
}

/// The statement of `core.sql` that makes a table.
fn create(table: &str) -> Option<&'static str> {
    let head = format!("CREATE TABLE `{table}` (");
    let statement = SQL.split("\n\n").find(|statement| statement.starts_with(&head))?;
    Some(statement.trim_end().trim_end_matches(';'))
}

/// The number of hand-written tables.
pub(super) const COUNT: usize = ROWS.len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_has_rows_and_every_table_a_statement() {
        assert_eq!(SQL.matches("CREATE TABLE ").count(), COUNT);
        assert!(tables().iter().all(|table| !table.create.is_empty()));
    }
}
