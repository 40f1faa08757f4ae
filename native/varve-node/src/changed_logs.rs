use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use napi::bindgen_prelude::Function;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

/// Tells an environment which of its logs have changed, by the numbers that it gave them. All of them share one handle
/// in its event loop, which looks at every handle there is whenever one of them is called.
pub struct ChangedLogs {
    untold: Arc<Untold>,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// The logs that have changed since the environment was told last.
#[derive(Default)]
struct Untold(Mutex<BTreeSet<u32>>);

impl Untold {
    /// Whether it is the first: then nobody has woken the environment yet.
    fn note(&self, log: u32) -> bool {
        let mut untold = self.0.lock().expect("never held across a panic");
        let is_first = untold.is_empty();
        untold.insert(log);
        is_first
    }

    fn take(&self) -> Vec<u32> {
        std::mem::take(&mut *self.0.lock().expect("never held across a panic")).into_iter().collect()
    }
}

impl ChangedLogs {
    /// Has the environment told of a log, once however often it changes until then.
    pub fn note(&self, log: u32) {
        if self.untold.note(log) {
            (self.wake)();
        }
    }
}

/// What tells an environment of its logs' changes.
#[napi]
pub struct NativeChangedLogs {
    pub(crate) inner: Arc<ChangedLogs>,
}

/// `changed` is called with the numbers of the logs that have changed, on the event loop and without keeping it alive.
#[napi(catch_unwind)]
pub fn open_changed_logs(changed: Function<'_, Vec<u32>, ()>) -> napi::Result<NativeChangedLogs> {
    let untold = Arc::<Untold>::default();
    let told = untold.clone();
    let changed = changed
        .build_threadsafe_function::<()>()
        .weak::<true>()
        .callee_handled::<false>()
        .build_callback(move |_| Ok(told.take()))?;
    let wake = Box::new(move || {
        // An environment that is ending takes no more calls, and needs none.
        let _ = changed.call((), ThreadsafeFunctionCallMode::NonBlocking);
    });
    Ok(NativeChangedLogs { inner: Arc::new(ChangedLogs { untold, wake }) })
}

#[cfg(test)]
mod tests {
    use super::{ChangedLogs, Untold};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_log_is_told_once_for_all_changes_until_then_and_again_for_those_that_follow() {
        let (untold, wakes) = (Arc::<Untold>::default(), Arc::<AtomicUsize>::default());
        let counted = wakes.clone();
        let wake = Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let logs = ChangedLogs { untold: untold.clone(), wake };
        for _ in 0..5 {
            [7, 3, 7].into_iter().for_each(|log| logs.note(log));
        }
        assert_eq!((wakes.load(Ordering::Relaxed), untold.take()), (1, vec![3, 7]));
        logs.note(3);
        assert_eq!((wakes.load(Ordering::Relaxed), untold.take()), (2, vec![3]));
        assert_eq!(untold.take(), vec![]);
    }

    #[test]
    fn no_change_is_lost_between_two_threads() {
        const CHANGES: u32 = 20_000;
        let (woken, wakes) = std::sync::mpsc::channel();
        let untold = Arc::<Untold>::default();
        let wake = Box::new(move || woken.send(()).expect("somebody receives"));
        let logs = ChangedLogs { untold: untold.clone(), wake };
        let changing = std::thread::spawn(move || (0..CHANGES).for_each(|log| logs.note(log)));
        let mut told = Vec::new();
        // Ends when the sender is dropped, behind the last change.
        while wakes.recv().is_ok() {
            told.extend(untold.take());
        }
        changing.join().unwrap();
        assert_eq!(told, (0..CHANGES).collect::<Vec<_>>());
    }
}
