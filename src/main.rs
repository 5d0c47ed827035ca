//! Entry point of the `netbit` command. All behaviour is in [`netbit::cli`].

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    netbit::core::private_file::take_private_umask();
    netbit::core::memory::disable_huge_pages();
    netbit::core::fail_points::read_environment();
    netbit::cli::run(std::env::args_os())
}
