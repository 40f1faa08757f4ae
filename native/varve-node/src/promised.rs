use std::path::PathBuf;

use napi::bindgen_prelude::Object;
use napi::{Either, Env, JsDeferred};
use varve_log::{Log, LogError, Result};

use crate::failure::Failure;

type Settled = Either<f64, Failure>;
type Settle = Box<dyn FnOnce(Env) -> napi::Result<Settled> + Send>;

/// A promise of what the engine's own threads do, settled from any of them, so that none of Node's waits meanwhile. Until
/// then it keeps the event loop alive; once its environment has ended nobody is told.
pub struct Promised {
    deferred: Option<JsDeferred<Settled, Settle>>,
    dir: PathBuf,
}

impl Promised {
    pub fn of<'env>(log: &Log, env: &'env Env) -> napi::Result<(Self, Object<'env>)> {
        let (deferred, promise) = env.create_deferred()?;
        Ok((Self { deferred: Some(deferred), dir: log.dir.clone() }, promise))
    }

    pub fn settle(&mut self, answer: Result<i64>) {
        let Some(deferred) = self.deferred.take() else { return };
        deferred.resolve(Box::new(|_| {
            Ok(match answer {
                Ok(offset) => Either::A(offset as f64),
                Err(error) => Either::B(error.into()),
            })
        }));
    }
}

impl Drop for Promised {
    /// An answer that is dropped instead of given is one of a log that ended.
    fn drop(&mut self) {
        let dir = std::mem::take(&mut self.dir);
        self.settle(Err(LogError::Closed { dir }));
    }
}
