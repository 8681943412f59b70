//! From a channel to the supervisor to a manager that works.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;

use evercrew_sys::signal::SignalFd;
use evercrew_sys::terminal::Stderr;
use evercrew_wire::supervisor::{Numbered, Purpose, ToSupervisor};
use tokio::sync::mpsc;

use crate::accepting;
use crate::boot::{self, Fatal, Found, Model};
use crate::ending;
use crate::input::Input;
use crate::link::{self, Link, Record};
use crate::manager::Manager;
use crate::readiness;
use crate::reserve::Reserve;
use crate::succeeding::{self, Inherited};

/// Inputs that wait for the loop; a source that has more waits itself.
const MAX_INPUTS: usize = 1024;

/// What a manager has before there is any decision.
struct Means {
    signals: SignalFd,
    reserves: (Reserve, Reserve),
    arguments: Option<Vec<OsString>>,
}

/// What was taken over, or opened.
struct Taken {
    found: Found,
    model: Model,
    control: OwnedFd,
    meanwhile: Vec<(Numbered, Vec<OwnedFd>)>,
    inherited: Option<Inherited>,
}

/// Runs the manager on its channel to the supervisor; gives the exit code of this process (the engine's own goes to
/// the supervisor). One that is tried first gets `stderr` for the time when it works. With `arguments` the engine's own
/// processes are started with them in the place of a title.
///
/// # Errors
/// When not even the loop can be started, or the supervisor is gone before there is anything to run.
pub fn run(channel: OwnedFd, stderr: Option<OwnedFd>, arguments: Option<Vec<OsString>>) -> io::Result<u8> {
    let signals = SignalFd::block_all()?;
    // Before anything else is opened: they get the lowest numbers.
    let reserves = (Reserve::new()?, Reserve::new()?);
    let means = Means { signals, reserves, arguments };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut link = Link::new(channel)?;
        let mut found = match boot::inventory(&link).await {
            Ok(found) => found,
            Err(fatal) => return cannot_boot(link, fatal, None).await,
        };
        if found.inventory.purpose != Purpose::Work {
            return match succeed(&mut link, found, stderr).await {
                Ok(Some(taken)) => work(link, means, taken).await,
                Ok(None) => Ok(0),
                Err(fatal) => {
                    Stderr::new()?.line(&fatal.message);
                    Ok(fatal.code)
                }
            };
        }
        match boot(&mut link, &mut found).await {
            Ok((model, control, meanwhile)) => {
                work(link, means, Taken { found, model, control, meanwhile, inherited: None }).await
            }
            Err(fatal) => cannot_boot(link, fatal, Some(found)).await,
        }
    })
}

async fn succeed(link: &mut Link, found: Found, stderr: Option<OwnedFd>) -> Result<Option<Taken>, Fatal> {
    let Some((mut found, mut model, inherited)) = succeeding::succeed(link, found, stderr).await? else {
        return Ok(None);
    };
    let (control, meanwhile) = boot::bind(link, &mut found, &mut model).await?;
    Ok(Some(Taken { found, model, control, meanwhile, inherited: Some(inherited) }))
}

async fn work(link: Link, means: Means, taken: Taken) -> io::Result<u8> {
    let Means { signals, reserves, arguments } = means;
    let Taken { found, model, control, meanwhile, inherited } = taken;
    let (inputs, receiver) = mpsc::channel(MAX_INPUTS);
    watch_signals(signals, inputs.clone())?;
    let (mut manager, news) = Manager::new(link, &found, model, inputs.clone())?;
    let accepting = accepting::listen(control, reserves.0, manager.room.clone(), inputs)?;
    (manager.accepting, manager.reserve) = (Some(accepting), Some(reserves.1));
    manager.launcher.keep_arguments(arguments);
    manager.take_over(found, news, inherited);
    manager.run(meanwhile, receiver).await
}

/// Only where nothing runs yet does this end the engine. Else the supervisor starts another manager, and the workers
/// serve on; unless the supervisor is the one that is gone.
async fn cannot_boot(mut link: Link, fatal: Fatal, found: Option<Found>) -> io::Result<u8> {
    if found.as_ref().is_some_and(Found::is_first_start) && !fatal.orphaned {
        let exit = ToSupervisor::Exit { code: fatal.code, message: fatal.message };
        link.push(Record { bytes: exit.encode().map_err(io::Error::other)?, descriptors: Vec::new() });
        link::flush_all(&mut link).await?;
        return Ok(fatal.code);
    }
    Stderr::new()?.line(&fatal.message);
    if fatal.orphaned {
        // The link to the logger, which ends with it, is among what was found.
        if let Some(remark) = found.and_then(|mut found| ending::kill_orphans(&mut found)) {
            Stderr::new()?.line(&format!("evercrew: WARN  {remark}"));
        }
    }
    Ok(1)
}

type Booted = (Model, OwnedFd, Vec<(Numbered, Vec<OwnedFd>)>);

async fn boot(link: &mut Link, found: &mut Found) -> Result<Booted, Fatal> {
    let mut model = boot::model(found)?;
    let (control, meanwhile) = boot::bind(link, found, &mut model).await?;
    Ok((model, control, meanwhile))
}

/// Signals are the supervisor's; one sent here is told and changes nothing.
fn watch_signals(signals: SignalFd, inputs: mpsc::Sender<Input>) -> io::Result<()> {
    let readiness = readiness::watch(&signals)?;
    tokio::spawn(async move {
        while let Ok(mut ready) = readiness.readable().await {
            while let Ok(Some(received)) = signals.read() {
                if inputs.send(Input::DirectSignal(received)).await.is_err() {
                    return;
                }
            }
            ready.clear_ready();
        }
    });
    Ok(())
}
