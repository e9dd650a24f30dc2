//! The process is killed in the middle of its work.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use leasehold_client::{Client, KeyLength, PlaintextKey, WrappedKey};

use super::pause;
use crate::cloud::{Cloud, on_every_cloud};
use crate::served::Process;
use crate::world::{client_of, context, id, soon};

/// Who asks at the same time.
const CALLERS: usize = 8;

/// How often it is killed, and how long it works in between.
const KILLS: usize = 3;
const WORK: Duration = Duration::from_millis(700);

/// What callers were given.
type HandedOut = Arc<Mutex<Vec<(PlaintextKey, WrappedKey)>>>;

async fn p5_every_wrapped_key_that_was_handed_out_before_kill_9_unwraps_after_it(cloud: Cloud) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("registry.db").display().to_string();
    let mut process = Process::with(cloud, "info", &[("LEASEHOLD__REGISTRY__PATH", file)]).await;
    let handed_out = HandedOut::default();
    let mut before = 0;
    for _ in 0..KILLS {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let client = client_of(&process.endpoint, &process.clock);
                tokio::spawn(make_keys(client, Arc::clone(&handed_out)))
            })
            .collect();
        let work = async {
            pause(WORK).await;
            while handed_out.lock().unwrap().len() < before + CALLERS {
                pause(Duration::from_millis(20)).await;
            }
        };
        soon(work).await;
        process.kill();
        for caller in callers {
            soon(caller).await.unwrap();
        }
        before = handed_out.lock().unwrap().len();
        process.restart();
        process.wait_until_ready().await;
    }
    let handed_out = std::mem::take(&mut *handed_out.lock().unwrap());
    let client = client_of(&process.endpoint, &process.clock);
    for (key, wrapped) in &handed_out {
        let again = client.unwrap_key(&id("acme"), wrapped, &context("main")).await;
        let again = again.unwrap_or_else(|error| panic!("{error}: {}", process.log()));
        assert!(again.value.matches(key));
    }
}

/// Makes keys, and has them wrapped anew, until the service is gone.
async fn make_keys(client: Client, handed_out: HandedOut) {
    let (tenant, main) = (id("acme"), context("main"));
    loop {
        let Ok(made) = client.generate_data_key(&tenant, KeyLength::B32, &main).await else { return };
        let copy = PlaintextKey::take(client.arena(), &mut made.value.key.expose().to_vec()).unwrap();
        let rewrapped = client.rewrap_key(&tenant, &made.value.wrapped, &main, None).await;
        handed_out.lock().unwrap().push((made.value.key, made.value.wrapped));
        let Ok(rewrapped) = rewrapped else { return };
        handed_out.lock().unwrap().push((copy, rewrapped.wrapped));
    }
}

on_every_cloud!(p5_every_wrapped_key_that_was_handed_out_before_kill_9_unwraps_after_it);
