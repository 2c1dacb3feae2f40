//! The sketch of a file, as `ogrt learn` makes it of whatever users have.
//!
//! Input: a file. What must hold: no panic, an end, and a sketch that is read back as it was. The
//! input as the bytes of a sketch is read, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ogrt_sketch::{Evidence, MINIMA_MAX, Sketch, compare};

fuzz_target!(|input: &[u8]| {
    for sketch in [Sketch::of_file(&input).ok().flatten(), Sketch::decode(input)].into_iter().flatten() {
        assert_eq!(Sketch::decode(&sketch.encode()).as_ref(), Some(&sketch));
        for kind in Evidence::ALL {
            let minima = sketch.minima(kind);
            assert!(minima.hashes().len() <= MINIMA_MAX);
            let shares = compare(minima, minima, |_| true);
            assert_eq!(shares.shared, shares.all);
        }
    }
});
