//! The lab's daily work as an endless sequence of transactions.
//!
//! Invariant: the sequence depends on the seed and the worker alone, and each transaction succeeds on any [`Lab`](super::Lab)
//! it is run on in order, from the first. Rows made here are named by numbers with the worker in them and found by those,
//! never by the ids the server gave; of the lab's own rows only those that every lab has are touched.

use super::core::{BATCHES, COUNTERS, DOCTORS, REAGENTS, ROLES, ROOMS, TESTS, USERS};
use super::random::Random;
use super::words;
use crate::ident::mysql_literal;
use std::collections::VecDeque;

/// How many of its own patients and orders a worker goes back to; older ones rest.
const REMEMBERED: usize = 500;

/// Transactions of one worker, without end.
///
/// Each item is the statements of one transaction, to be run in order on one connection; BEGIN and COMMIT or ROLLBACK are
/// among them. Workers with different numbers can run side by side; as with any application, the server may then choose
/// one of them as a deadlock's victim (error 1213): leave that transaction out and go on.
#[derive(Debug)]
pub struct Workload {
    random: Random,
    worker: u32,
    count: u64,
    patients: VecDeque<String>,
    orders: VecDeque<String>,
    sessions: VecDeque<String>,
}

impl Workload {
    /// The work of one worker.
    #[must_use]
    pub fn new(seed: u64, worker: u32) -> Self {
        Self {
            random: Random::new(seed, &format!("workload {worker}")),
            worker,
            count: 0,
            patients: VecDeque::new(),
            orders: VecDeque::new(),
            sessions: VecDeque::new(),
        }
    }

    /// The next transaction.
    fn next_transaction(&mut self) -> Vec<String> {
        self.count += 1;
        let turn = self.random.below(100);
        match turn {
            _ if self.patients.is_empty() => self.new_patient(),
            0..8 => self.new_patient(),
            _ if self.orders.len() < 3 => self.new_order(),
            8..33 => self.new_order(),
            33..55 => self.results(),
            55..63 => self.payment(),
            63..70 => self.patient_moves(),
            70..77 => self.stock(),
            77..84 => self.session(),
            84..89 => self.queue(),
            89..92 => self.log_and_notify(),
            92..94 => self.roles(),
            94..95 => self.remove_patient(),
            95..97 => self.cancel_order(),
            _ => self.rolled_back(),
        }
    }

    fn new_patient(&mut self) -> Vec<String> {
        let no_rm = self.number("RM");
        let r = &mut self.random;
        let sql = format!(
            "INSERT INTO pasien (no_rm, nik, nama, jenis_kelamin, tanggal_lahir, alamat, telepon, riwayat, bpjs, created_at, \
             updated_at) VALUES ('{no_rm}', '{:016}', {}, '{}', '{}', {}, '{}', {}, {}, NOW(), NOW())",
            r.below(10_u64.pow(16)),
            mysql_literal(&words::person(r)),
            r.pick(&["L", "P"]),
            words::day(r),
            mysql_literal(&words::address(r)),
            words::phone(r),
            mysql_literal(&words::json(r)),
            r.below(2)
        );
        remember(&mut self.patients, no_rm);
        vec![sql] // on its own, in autocommit, as most of an application's statements are
    }

    fn new_order(&mut self) -> Vec<String> {
        let order = self.number("LAB");
        let patient = self.patient();
        let mut statements = vec!["BEGIN".to_owned(), self.insert_order(&order, &patient)];
        for _ in 0..self.random.between(1, 5) {
            let (test, price) = (1 + self.random.below(TESTS), self.random.between(10_000, 900_000));
            statements.push(format!(
                "INSERT INTO detail_permintaan (permintaan_id, jenis_pemeriksaan_id, harga, created_at, updated_at) \
                 SELECT id, {test}, {price}.50, NOW(), NOW() FROM permintaan_pemeriksaan WHERE nomor = '{order}'"
            ));
        }
        let (kind, volume) = (self.random.pick(&["darah", "serum", "urin"]), self.random.between(1, 99));
        statements.push(format!(
            "INSERT INTO sampel (barcode, permintaan_id, jenis, volume, suhu, kondisi, diambil_pada, created_at, updated_at) \
             SELECT 'S{order}', id, '{kind}', 0.{volume}, 4.{volume}, 'lisis', NOW(6), NOW(), NOW() \
             FROM permintaan_pemeriksaan WHERE nomor = '{order}'"
        ));
        statements.push("COMMIT".to_owned());
        remember(&mut self.orders, order);
        statements
    }

    /// One statement that makes an order; other tables' rows follow it by its number.
    fn insert_order(&mut self, order: &str, patient: &str) -> String {
        let r = &mut self.random;
        let (doctor, room, priority) = (1 + r.below(DOCTORS), 1 + r.below(ROOMS), r.below(3));
        format!(
            "INSERT INTO permintaan_pemeriksaan (nomor, pasien_id, dokter_id, ruangan_id, status, prioritas, tanggal, \
             catatan, created_at, updated_at) SELECT '{order}', id, {doctor}, {room}, 'diterima', {priority}, NOW(), {}, \
             NOW(), NOW() FROM pasien WHERE no_rm = '{patient}'",
            mysql_literal(&words::sentence(r))
        )
    }

    fn results(&mut self) -> Vec<String> {
        let order = self.order();
        let r = &mut self.random;
        let (value, flag, user) = (r.between(0, 9_999), r.pick(&["N", "L", "H"]), 1 + r.below(USERS));
        vec![
            "BEGIN".to_owned(),
            format!(
                "INSERT INTO hasil_pemeriksaan (detail_permintaan_id, nilai, nilai_teks, flag, rincian, diverifikasi_oleh, \
                 diverifikasi_pada, created_at, updated_at) SELECT d.id, {value}.25, '±', '{flag}', {}, {user}, NOW(3), \
                 NOW(), NOW() FROM detail_permintaan d JOIN permintaan_pemeriksaan p ON p.id = d.permintaan_id \
                 WHERE p.nomor = '{order}'",
                mysql_literal(&words::json(r))
            ),
            format!(
                "UPDATE permintaan_pemeriksaan SET status = 'selesai', catatan = {}, updated_at = NOW() WHERE nomor = '{order}'",
                mysql_literal(&words::sentence(r))
            ),
            format!(
                "INSERT INTO log_aktivitas (user_id, aksi, objek, alamat_ip, created_at) \
                 VALUES ({user}, 'verifikasi', 'permintaan {order}', '10.10.1.21', NOW())"
            ),
            "COMMIT".to_owned(),
        ]
    }

    fn payment(&mut self) -> Vec<String> {
        let (number, order) = (self.number("INV"), self.order());
        let r = &mut self.random;
        let (counter, total) = (1 + r.below(COUNTERS), r.between(10_000, 2_000_000));
        let method = r.pick(&["tunai", "debit", "QRIS", "BPJS"]);
        vec![
            "BEGIN".to_owned(),
            format!(
                "INSERT INTO pembayaran (nomor, permintaan_id, kasir_id, metode, total, lunas, dibayar_pada, created_at, \
                 updated_at) SELECT '{number}', id, {counter}, '{method}', {total}.00, 1, NOW(), NOW(), NOW() \
                 FROM permintaan_pemeriksaan WHERE nomor = '{order}'"
            ),
            // the number is bounded, however long the work goes on
            format!(
                "UPDATE kasir SET saldo = MOD(saldo + {total}, 9999999999), updated_at = NOW() WHERE id = {counter}"
            ),
            "COMMIT".to_owned(),
        ]
    }

    /// A patient's address changes, or the patient is deleted softly.
    fn patient_moves(&mut self) -> Vec<String> {
        let patient = self.patient();
        let r = &mut self.random;
        let set = if r.chance(15) {
            "deleted_at = NOW()".to_owned()
        } else {
            format!("alamat = {}, telepon = '{}'", mysql_literal(&words::address(r)), words::phone(r))
        };
        vec![format!("UPDATE pasien SET {set}, updated_at = NOW() WHERE no_rm = '{patient}'")]
    }

    /// One of the lab's own rows, which all workers share: the last lock of its transaction.
    fn stock(&mut self) -> Vec<String> {
        let r = &mut self.random;
        let (batch, amount) = (1 + r.below(BATCHES), r.between(1, 400));
        if r.chance(70) {
            return vec![format!("UPDATE stok_reagen SET jumlah = ABS(jumlah - {amount}.25) WHERE id = {batch}")];
        }
        let reagent = 1 + r.below(REAGENTS);
        let number = self.number("B");
        vec![
            "BEGIN".to_owned(),
            format!(
                "INSERT INTO stok_reagen (reagen_id, nomor_batch, jumlah, kedaluwarsa, created_at, updated_at) \
                 VALUES ({reagent}, '{number}', {amount}.00, '2027-12-31', NOW(), NOW())"
            ),
            format!(
                "UPDATE reagen SET harga = MOD(harga + {amount}, 99999999), updated_at = NOW() WHERE id = {reagent}"
            ),
            "COMMIT".to_owned(),
        ]
    }

    /// Log in, renew the session (the primary key changes), log out; and the cache.
    fn session(&mut self) -> Vec<String> {
        let id = format!("{}{}", self.number("s"), self.random.hex(12));
        let worker = self.worker;
        let r = &mut self.random;
        let user = 1 + r.below(USERS);
        let old = if r.chance(60) { self.sessions.pop_front() } else { None };
        match old {
            Some(old) if r.chance(50) => vec![format!("DELETE FROM sessions WHERE id = '{old}'")],
            Some(old) => {
                self.sessions.push_back(id.clone());
                vec![format!("UPDATE sessions SET id = '{id}', last_activity = last_activity + 1 WHERE id = '{old}'")]
            }
            None => {
                let (payload, value) = (r.hex(60), mysql_literal(&words::json(r)));
                remember(&mut self.sessions, id.clone());
                vec![
                    format!(
                        "INSERT INTO sessions (id, user_id, ip_address, user_agent, payload, last_activity) \
                         VALUES ('{id}', {user}, '10.10.2.7', 'okhttp/4.9.3', '{payload}', 1767225600)"
                    ),
                    format!(
                        "INSERT INTO cache (`key`, `value`, expiration) VALUES ('w{worker}:user:{user}', {value}, 1767225600) \
                         ON DUPLICATE KEY UPDATE `value` = {value}, expiration = expiration + 1"
                    ),
                ]
            }
        }
    }

    /// A job is queued and done: inserted and deleted within one transaction or two.
    fn queue(&mut self) -> Vec<String> {
        let queue = self.number("q");
        let payload = mysql_literal(&words::json(&mut self.random));
        let insert = format!(
            "INSERT INTO jobs (queue, payload, attempts, available_at, created_at) \
             VALUES ('{queue}', {payload}, 0, UNIX_TIMESTAMP(), UNIX_TIMESTAMP())"
        );
        let delete = format!("DELETE FROM jobs WHERE queue = '{queue}'");
        if self.random.chance(50) {
            return vec![insert, delete];
        }
        vec!["BEGIN".to_owned(), insert, delete, "COMMIT".to_owned()]
    }

    fn log_and_notify(&mut self) -> Vec<String> {
        let user = 1 + self.random.below(USERS);
        let object = self.number("sesi ");
        let (id, data) = (self.random.uuid(), mysql_literal(&words::json(&mut self.random)));
        vec![
            "BEGIN".to_owned(),
            format!(
                "INSERT INTO log_aktivitas (user_id, aksi, objek, data, created_at) VALUES \
                 ({user}, 'masuk', '{object}', {data}, NOW()), ({user}, 'keluar', '{object}', NULL, NOW())"
            ),
            format!("UPDATE log_aktivitas SET aksi = 'keluar paksa' WHERE objek = '{object}' AND aksi = 'keluar'"),
            format!("DELETE FROM log_aktivitas WHERE objek = '{object}' AND aksi = 'masuk'"),
            format!(
                "INSERT INTO notifications (id, `type`, notifiable_type, notifiable_id, data, created_at) \
                 VALUES ('{id}', 'App\\\\Notifications\\\\HasilKritis', 'App\\\\Models\\\\User', {user}, {data}, NOW())"
            ),
            format!("UPDATE notifications SET read_at = NOW() WHERE id = '{id}'"),
            "COMMIT".to_owned(),
        ]
    }

    /// The pivot table: a role given and taken away again, for a user of this worker's own.
    fn roles(&mut self) -> Vec<String> {
        let (role, model) = (1 + self.random.below(ROLES), u64::from(self.worker) * 1_000_000 + 1_000 + self.count);
        let insert = format!(
            "INSERT INTO model_has_roles (role_id, model_type, model_id) VALUES ({role}, 'App\\\\Models\\\\User', {model})"
        );
        let other = role % ROLES + 1;
        vec![insert, format!("UPDATE model_has_roles SET role_id = {other} WHERE model_id = {model}")]
    }

    /// A hard delete that cascades to orders, their details, samples, results and documents.
    fn remove_patient(&mut self) -> Vec<String> {
        match self.patients.pop_front() {
            Some(patient) => vec![format!("DELETE FROM pasien WHERE no_rm = '{patient}'")],
            None => self.new_patient(),
        }
    }

    /// A hard delete that cascades; payments stay, without their order.
    fn cancel_order(&mut self) -> Vec<String> {
        match self.orders.pop_front() {
            Some(order) => vec![
                "BEGIN".to_owned(),
                format!("UPDATE permintaan_pemeriksaan SET status = 'batal' WHERE nomor = '{order}'"),
                format!("DELETE FROM permintaan_pemeriksaan WHERE nomor = '{order}'"),
                "COMMIT".to_owned(),
            ],
            None => self.new_order(),
        }
    }

    /// Work that comes to nothing; now and then only half of it does.
    fn rolled_back(&mut self) -> Vec<String> {
        let (order, patient) = (self.number("LAB"), self.patient());
        let insert = self.insert_order(&order, &patient);
        let update = format!("UPDATE pasien SET nama = 'batal' WHERE no_rm = '{patient}'");
        let mut statements = vec!["BEGIN".to_owned(), insert];
        if self.random.chance(40) {
            statements.extend(["SAVEPOINT sp".to_owned(), update, "ROLLBACK TO SAVEPOINT sp".to_owned()]);
            statements.push("COMMIT".to_owned());
        } else {
            statements.extend([update, "ROLLBACK".to_owned()]);
        }
        statements
    }

    /// A number that nobody else gives.
    fn number(&self, prefix: &str) -> String {
        format!("{prefix}-W{:02}-{:08}", self.worker, self.count)
    }

    fn patient(&mut self) -> String {
        pick(&mut self.random, &self.patients)
    }

    fn order(&mut self) -> String {
        pick(&mut self.random, &self.orders)
    }
}

impl Iterator for Workload {
    type Item = Vec<String>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_transaction())
    }
}

fn pick(random: &mut Random, list: &VecDeque<String>) -> String {
    let index = random.below(list.len() as u64) as usize;
    list.get(index).cloned().unwrap_or_default() // an unknown number finds no row, which is no error
}

fn remember(list: &mut VecDeque<String>, item: String) {
    list.push_back(item);
    if list.len() > REMEMBERED {
        list.pop_front();
    }
}
