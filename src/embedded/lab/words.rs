//! The words the lab's data are made of: Indonesian names, places, tests, and now and then text beyond ASCII.

use super::random::Random;

pub(super) const GIVEN: &[&str] = &[
    "Adi", "Agus", "Ahmad", "Aisyah", "Andi", "Anisa", "Bambang", "Budi", "Citra", "Dedi", "Dewi", "Dian", "Eko",
    "Endang", "Fajar", "Fitri", "Galih", "Hendra", "I Gede", "I Made", "Indah", "Joko", "Kartika", "Lestari", "Lukman",
    "Maya", "Muhammad", "Ni Luh", "Nur", "Nurul", "Putri", "Rahmat", "Ratna", "Rina", "Rizky", "Siti", "Slamet", "Sri",
    "Teguh", "Tri", "Ujang", "Wahyu", "Wulan", "Yanti", "Yusuf", "Zahra",
];

pub(super) const FAMILY: &[&str] = &[
    "Hidayat",
    "Kusuma",
    "Lubis",
    "Maharani",
    "Nasution",
    "Nugroho",
    "Pangestu",
    "Permata Sari",
    "Prasetyo",
    "Pratama",
    "Purnomo",
    "Rahayu",
    "Ramadhan",
    "Santoso",
    "Saputra",
    "Saragih",
    "Setiawan",
    "Siregar",
    "Sitompul",
    "Sudirman",
    "Suharto",
    "Suryani",
    "Susanti",
    "Tanjung",
    "Utami",
    "Wibowo",
    "Widodo",
    "Wijaya",
    "Wulandari",
    "Yulianti",
    "D'Souza",
    "Ma'ruf",
];

pub(super) const STREETS: &[&str] = &[
    "Jl. Merdeka",
    "Jl. Jenderal Sudirman",
    "Jl. Diponegoro",
    "Jl. Gajah Mada",
    "Jl. Ahmad Yani",
    "Jl. Veteran",
    "Jl. Pahlawan",
    "Jl. Raya Bogor",
    "Jl. Kenanga",
    "Jl. Melati",
    "Gg. Mawar",
    "Perum Griya Asri Blok C",
];

pub(super) const CITIES: &[&str] = &[
    "Jakarta Pusat",
    "Bandung",
    "Surabaya",
    "Semarang",
    "Yogyakarta",
    "Medan",
    "Makassar",
    "Denpasar",
    "Palembang",
    "Balikpapan",
    "Manado",
    "Padang",
    "Malang",
    "Bogor",
    "Surakarta",
];

pub(super) const TESTS: &[&str] = &[
    "Hemoglobin",
    "Leukosit",
    "Eritrosit",
    "Trombosit",
    "Hematokrit",
    "Laju Endap Darah",
    "Glukosa Puasa",
    "Glukosa 2 Jam PP",
    "HbA1c",
    "Kolesterol Total",
    "Kolesterol HDL",
    "Kolesterol LDL",
    "Trigliserida",
    "Asam Urat",
    "Ureum",
    "Kreatinin",
    "SGOT",
    "SGPT",
    "Bilirubin Total",
    "Albumin",
    "Natrium",
    "Kalium",
    "Klorida",
    "Kalsium",
    "CRP Kuantitatif",
    "Widal",
    "HBsAg",
    "Anti-HIV",
    "TSHs",
    "FT4",
    "Urin Lengkap",
    "Feses Rutin",
    "NS1 Dengue",
    "IgG/IgM Dengue",
    "β-hCG",
    "γ-GT",
    "D-Dimer",
    "Prokalsitonin",
    "Troponin I",
    "PCR SARS-CoV-2",
];

pub(super) const UNITS: &[&str] =
    &["g/dL", "10³/µL", "10⁶/µL", "%", "mm/jam", "mg/dL", "U/L", "mmol/L", "mEq/L", "µIU/mL", "ng/mL", "-"];

pub(super) const ROOMS: &[&str] = &[
    "IGD",
    "ICU",
    "Poli Umum",
    "Poli Anak",
    "Poli Penyakit Dalam",
    "Poli Kandungan",
    "Rawat Inap Melati",
    "Rawat Inap Mawar",
    "Laboratorium Pusat",
    "Hemodialisa",
    "Kamar Operasi",
    "Medical Check-Up",
];

pub(super) const INSTRUMENTS: &[&str] = &[
    "Sysmex XN-1000",
    "Cobas c 311",
    "Mindray BS-240",
    "VITEK 2 Compact",
    "Sentrifus Hettich",
    "Mikroskop Olympus CX23",
];

pub(super) const REAGENTS: &[&str] = &[
    "Cellpack DCL",
    "Lysercell WNR",
    "Glukosa GOD-PAP",
    "Kreatinin Jaffé",
    "Giemsa",
    "Buffer pH 7,2",
    "Kontrol Level II",
];

const SENTENCES: &[&str] = &[
    "Pasien puasa 10 jam",
    "Sampel diterima dalam kondisi baik",
    "Mohon hasil segera dikirim",
    "Ulangi bila perlu",
    "Konfirmasi ke dokter pengirim",
    "Sampel lisis ringan",
    "Kontrol 2 minggu lagi",
    "Riwayat diabetes melitus tipe 2",
    "Sudah diverifikasi dan divalidasi",
    "Hasil kritis telah dilaporkan lewat telepon",
    "Rujukan BPJS kelas 2",
];

const BEYOND_ASCII: &[&str] = &[
    "Dr. Müller – Rujukan",
    "Hasil normal 👍",
    "Suhu 36,8 °C, nadi 80×/menit",
    "Pasien: 王小明",
    "“CITO!” ⚠️ segera",
    "Vitamin D₃ – 25(OH)D",
    "Catatan perawat 👩‍⚕️: é è ñ ß",
    "Baris satu\nBaris dua\tkolom \\ garis miring",
    "",
];

/// A person's name.
pub(super) fn person(random: &mut Random) -> String {
    let (given, family) = (random.pick(GIVEN), random.pick(FAMILY));
    if random.chance(3) { format!("{given} Müller-{family}") } else { format!("{given} {family}") }
}

/// A remark; in 6 of 100 with more than ASCII, quotes or control characters.
pub(super) fn sentence(random: &mut Random) -> String {
    if random.chance(6) {
        return random.pick(BEYOND_ASCII).to_owned();
    }
    let first = random.pick(SENTENCES);
    if random.chance(40) { format!("{first}. {}.", random.pick(SENTENCES)) } else { first.to_owned() }
}

/// Street, number, neighbourhood, city.
pub(super) fn address(random: &mut Random) -> String {
    let (street, city) = (random.pick(STREETS), random.pick(CITIES));
    let (number, rt, rw) = (random.between(1, 250), random.between(1, 15), random.between(1, 12));
    format!("{street} No. {number} RT {rt:02}/RW {rw:02}, {city}")
}

/// A mobile number.
pub(super) fn phone(random: &mut Random) -> String {
    format!("+62 8{}-{:04}-{:04}", random.between(11, 59), random.below(10_000), random.below(10_000))
}

/// A day of the years 2021 to 2026.
pub(super) fn day(random: &mut Random) -> String {
    format!("{}-{:02}-{:02}", random.between(2021, 2026), random.between(1, 12), random.between(1, 28))
}

/// A moment within office hours, so that it exists in every time zone (clocks are changed at night).
pub(super) fn moment(random: &mut Random) -> String {
    let (hour, minute, second) = (random.between(6, 20), random.below(60), random.below(60));
    format!("{} {hour:02}:{minute:02}:{second:02}", day(random))
}

/// A JSON object as an application writes it.
pub(super) fn json(random: &mut Random) -> String {
    let note = serde_json::Value::from(sentence(random));
    let (flag, number) = (random.chance(50), random.between(-5_000, 500_000));
    let list = random.pick(&["[]", r#"["Penisilin"]"#, r#"["Sulfa", "Aspirin"]"#, "[1, 2.50, null]"]);
    format!(
        r#"{{"catatan": {note}, "aktif": {flag}, "nilai": {}.{:02}, "daftar": {list}, "meta": {{"versi": {}}}}}"#,
        number / 100,
        number.unsigned_abs() % 100,
        random.below(9)
    )
}
