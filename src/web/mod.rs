//! The pages for browsers: HTML that the server writes.

pub mod paint;
