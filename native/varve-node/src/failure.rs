use napi_derive::napi;
use varve_log::LogError;

/// An error of the engine. Asynchronous work resolves with one instead of rejecting, because a rejection carries no
/// stable code through napi.
#[napi(object)]
pub struct Failure {
    /// `VARVE_…`
    pub code: String,
    pub message: String,
    /// The operating system's error number, where it refused something.
    pub errno: Option<i32>,
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self { code: error.code().into(), message: error.to_string(), errno: error.os_error() }
    }
}

/// Runs a closure on the thread pool and resolves with what it returns, or with a [`Failure`].
macro_rules! task {
    ($name:ident, $output:ty, $js:ty, $convert:expr) => {
        pub struct $name(pub Box<dyn FnOnce() -> varve_log::Result<$output> + Send>);

        impl napi::Task for $name {
            type Output = varve_log::Result<$output>;
            type JsValue = napi::Either<$js, crate::failure::Failure>;

            fn compute(&mut self) -> napi::Result<Self::Output> {
                let work = std::mem::replace(&mut self.0, Box::new(|| unreachable!("a task runs once")));
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                result.map_err(|_| napi::Error::from_reason("the native engine panicked; see standard error"))
            }

            fn resolve(&mut self, _env: napi::Env, output: Self::Output) -> napi::Result<Self::JsValue> {
                Ok(match output {
                    Ok(value) => napi::Either::A($convert(value)),
                    Err(error) => napi::Either::B(error.into()),
                })
            }
        }
    };
}

pub(crate) use task;
