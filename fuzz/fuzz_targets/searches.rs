#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| netbit_fuzz::searches(input));
