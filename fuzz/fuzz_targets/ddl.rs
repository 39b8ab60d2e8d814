#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sirenia_fuzz::targets::ddl(data));
