//! The `netbit` command.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    netbit::core::memory::take_small_pages();
    netbit::core::fail_points::read_environment();
    netbit::cli::run(std::env::args_os())
}
