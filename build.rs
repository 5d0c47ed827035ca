//! A new migration folder must rebuild the crate that embeds the migrations.
fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
