//! The end at the other machine: `pm __remote` runs one command for a caller and passes its output back.
//!
//! The command runs in a copy of this process, as if it had been typed here; only its screen, its folder and its ecosystem
//! files are those of the caller. It ends with the connection.

use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter, Read, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use super::frames::{FrameKind, greeting, read_call, read_frame, write_frame};
use crate::cli::fail::Code;
use crate::cli::remote_caller;
use crate::os::{self, Half, InnerHalf};
use crate::wire;

/// The word of the command line.
const CALLED: &str = "__remote";
/// Output is passed on in pieces of this size.
const PIECE_BYTES: usize = 32 << 10;

type Back = Arc<Mutex<PipeWriter>>;

/// Whether this call is the end at the other machine.
pub(in crate::cli) fn is_served(argv: &[OsString]) -> bool {
    matches!(argv, [_, word] if word == CALLED)
}

/// What goes on in this process after [`serve`].
pub(in crate::cli) enum Served {
    /// It was passed on to the caller; this process ends with the code.
    Done(u8),
    /// This process runs that command line.
    Run(Vec<OsString>),
}

/// Serves one caller.
pub(in crate::cli) fn serve() -> Served {
    match begin() {
        Ok(served) => served,
        Err(error) => {
            os::write_stderr(&format!("error: `pm {CALLED}` is started by `pm --host`: {error}\n"));
            Served::Done(Code::Usage as u8)
        }
    }
}

fn begin() -> io::Result<Served> {
    let (mut from, mut back) = os::bare_streams()?;
    back.write_all(greeting(wire::VERSION).as_bytes())?;
    let call = read_call(&mut from)?;
    match os::split_process()? {
        Half::Inner => {
            drop((from, back));
            let words = std::iter::once("pm".to_owned()).chain(call.args.iter().cloned());
            let argv = words.map(OsString::from).collect();
            remote_caller::serve(call);
            Ok(Served::Run(argv))
        }
        Half::Outer { inner, input, output, errors } => {
            let back: Back = Arc::new(Mutex::new(back));
            listen(from, input, &inner)?;
            let (ended, has_ended) = std::sync::mpsc::channel();
            for (mut stream, kind) in [(output, FrameKind::Output), (errors, FrameKind::Notes)] {
                let (back, ended) = (Arc::clone(&back), ended.clone());
                os::start_thread("output", move || {
                    pass_on(&mut stream, kind, &back);
                    let _nobody_waits = ended.send(());
                })?;
            }
            drop(ended);
            let code = inner.wait()?;
            // Both outputs to their end: the last word comes last.
            for () in has_ended {}
            let mut back = back.lock().unwrap_or_else(PoisonError::into_inner);
            write_frame(&mut *back, FrameKind::End, &[code])?;
            Ok(Served::Done(code))
        }
    }
}

/// What the caller sends while the command runs. At the end of the connection the command ends, too.
fn listen(mut from: PipeReader, input: PipeWriter, inner: &InnerHalf) -> io::Result<()> {
    let interrupt = inner.interrupter()?;
    os::start_thread("input", move || {
        let mut input = Some(input);
        loop {
            match read_frame(&mut from) {
                Ok(Some((FrameKind::Input, bytes))) if bytes.is_empty() => input = None,
                Ok(Some((FrameKind::Input, bytes))) => {
                    let is_read = input.as_mut().is_some_and(|input| input.write_all(&bytes).is_ok());
                    input = input.filter(|_| is_read);
                }
                Ok(Some((FrameKind::Interrupt, _))) => interrupt(),
                Ok(Some(_)) => {}
                // The kernel ends the other half together with this one.
                Ok(None) | Err(_) => os::exit(Code::Unreachable as u8),
            }
        }
    })
}

fn pass_on(stream: &mut PipeReader, kind: FrameKind, back: &Back) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return,
            Ok(length) => {
                let mut back = back.lock().unwrap_or_else(PoisonError::into_inner);
                if write_frame(&mut *back, kind, &piece[..length]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
