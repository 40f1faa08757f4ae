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

impl Failure {
    /// A defect of the engine, which said more on standard error.
    pub fn panicked() -> Self {
        let message =
            "the native engine panicked, see standard error; close the log and open it again".into();
        Self { code: "VARVE_PANICKED".into(), message, errno: None }
    }
}

/// Runs a closure on the thread pool and resolves with what it returns, or with a [`Failure`].
macro_rules! task {
    ($name:ident, $output:ty, $js:ty, $convert:expr) => {
        pub struct $name(pub Box<dyn FnOnce() -> varve_log::Result<$output> + Send>);

        impl napi::Task for $name {
            type Output = Result<$output, crate::failure::Failure>;
            type JsValue = napi::Either<$js, crate::failure::Failure>;

            fn compute(&mut self) -> napi::Result<Self::Output> {
                let work = std::mem::replace(&mut self.0, Box::new(|| unreachable!("a task runs once")));
                Ok(match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
                    Ok(result) => result.map_err(crate::failure::Failure::from),
                    Err(_) => Err(crate::failure::Failure::panicked()),
                })
            }

            fn resolve(&mut self, _env: napi::Env, output: Self::Output) -> napi::Result<Self::JsValue> {
                Ok(match output {
                    Ok(value) => napi::Either::A($convert(value)),
                    Err(error) => napi::Either::B(error),
                })
            }
        }
    };
}

pub(crate) use task;
