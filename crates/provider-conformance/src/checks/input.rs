//! Input from callers and tenants, hostile or mistaken.

use bytes::Bytes;
use leasehold_provider::{Ciphertext, Fault};

use crate::bench::{Bench, Bound, Outcome, ensure, fails};

pub(crate) async fn garbage_is_rejected(bench: &Bench<'_>) -> Outcome {
    let (bound, open) = (Bound::usual()?, bench.open().await?);
    for garbage in
        [vec![], vec![0], vec![0xff; 64], b"{\"json\":true}".to_vec(), vec![0x41; 4096], vec![7; 10_000]]
    {
        let length = garbage.len();
        let wrapped = Ciphertext { bytes: Bytes::from(garbage), key_version: open.version.clone() };
        let unwrapped = bench.unwrap(&open, &wrapped, &bound).await;
        fails(format_args!("{length} bytes of garbage"), unwrapped, |f| *f == Fault::Rejected)?;
    }
    Ok(())
}

pub(crate) async fn a_cut_or_changed_ciphertext_is_rejected(bench: &Bench<'_>) -> Outcome {
    let (bound, open) = (Bound::usual()?, bench.open().await?);
    let (_, wrapped) = bench.wrapped(&open, &bound).await?;
    let whole = wrapped.bytes.to_vec();
    // Eight places from the first byte to the last: header, key name, nonce, sealed bytes and tag, wherever they are.
    for place in 0..8 {
        let at = (whole.len() - 1) * place / 7;
        let cut = whole.get(..at).unwrap_or_default().to_vec();
        let mut flipped = whole.clone();
        if let Some(byte) = flipped.get_mut(at) {
            *byte ^= 1;
        }
        for (what, bytes) in [("cut", cut), ("flipped", flipped)] {
            let changed = Ciphertext { bytes: Bytes::from(bytes), key_version: open.version.clone() };
            let unwrapped = bench.unwrap(&open, &changed, &bound).await;
            fails(format_args!("{what} at byte {at}"), unwrapped, |f| *f == Fault::Rejected)?;
        }
    }
    let mut longer = whole;
    longer.push(0);
    let longer = Ciphertext { bytes: Bytes::from(longer), key_version: open.version.clone() };
    fails("one byte more", bench.unwrap(&open, &longer, &bound).await, |f| *f == Fault::Rejected).map(drop)
}

pub(crate) async fn what_cannot_work_is_refused_without_asking(bench: &Bench<'_>) -> Outcome {
    bench.provider.check(&bench.fixture.binding()).map_err(|e| format!("a good binding: {e}"))?;
    let before = bench.fixture.calls().await;
    for binding in bench.fixture.malformed_bindings() {
        let what = format!("{} {:?}", binding.key, binding.settings);
        fails(&what, bench.provider.check(&binding), |f| *f == Fault::Misconfigured)?;
        fails(&what, bench.provider.assume(&binding).await, |f| *f == Fault::Misconfigured)?;
    }
    let after = bench.fixture.calls().await;
    ensure(before == after, || "the cloud was asked".to_owned())
}
