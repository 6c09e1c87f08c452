use std::process::ExitCode;
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("anchor") => pm::anchor::run(std::path::Path::new(&args[3]), args.get(5).and_then(|f| f.parse().ok())),
        Some("daemon") => pm::daemon::run(),
        _ => ExitCode::FAILURE,
    }
}
