//! Which guards are on, and their limits.

use alloc::format;
use core::time::Duration;

use crate::guard::churn_budget::ChurnBudget;
use crate::guard::outlier_trigger::OutlierTrigger;
use crate::guard::persistence::Persistence;
use crate::measure::thresholds::InvalidSetting;

/// Every guard with its limit; `None` turns it off. The floors are part of [`Thresholds`](crate::Thresholds):
/// `trigger_floors` of 0 turn that guard off.
///
/// ```
/// use core::time::Duration;
/// use rebalancer_core::guard::GuardSettings;
///
/// let settings = GuardSettings { cooldown: Some(Duration::from_secs(600)), ..GuardSettings::STANDARD };
/// assert!(settings.validate().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct GuardSettings {
    /// Leaves out pods that have worked for less than this. See [`Freshness`](crate::Freshness) and
    /// [`RotationOptions::by`](crate::RotationOptions::by).
    pub warm_up: Option<Duration>,
    /// The busiest pod must have been busy for most of a window.
    pub persistence: Option<Persistence>,
    /// The youngest pod must be this old.
    pub cooldown: Option<Duration>,
    /// The busiest pod must be this old: a younger one is a replacement that did not help.
    pub futility_age: Option<Duration>,
    /// An illness must have lasted this long before its pod is replaced alone.
    pub illness_age: Option<Duration>,
    /// How many pods may be young.
    pub churn_budget: Option<ChurnBudget>,
    /// Finds one hot pod in a large fleet, which the spread cannot show. Adds a trigger.
    pub outlier_trigger: Option<OutlierTrigger>,
    /// Whether a rotation is withheld when the diagnosis says it cannot help; else that is only reported.
    pub diagnosis: bool,
}

impl GuardSettings {
    /// `GUARDS=standard`: warm-up 5 min, persistence, cooldown 30 min, futility 180 min, illness
    /// 10 min, churn budget 10 %, no outlier trigger.
    pub const STANDARD: Self = Self {
        warm_up: Some(Duration::from_secs(300)),
        persistence: Some(Persistence::STANDARD),
        cooldown: Some(Duration::from_secs(30 * 60)),
        futility_age: Some(Duration::from_secs(180 * 60)),
        illness_age: Some(Duration::from_secs(10 * 60)),
        churn_budget: Some(ChurnBudget::STANDARD),
        outlier_trigger: None,
        diagnosis: true,
    };

    /// `GUARDS=off`: exactly the plain rule.
    pub const OFF: Self = Self {
        warm_up: None,
        persistence: None,
        cooldown: None,
        futility_age: None,
        illness_age: None,
        churn_budget: None,
        outlier_trigger: None,
        diagnosis: false,
    };

    /// The same guards without those that need the pods' past, for data without history.
    #[must_use]
    pub const fn without_past(self) -> Self {
        Self { persistence: None, illness_age: None, outlier_trigger: None, ..self }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// The first limit that no fact can be compared with.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        if let Some(Persistence { factor, percent: share, window, step, .. }) = self.persistence {
            positive("persistence factor", factor)?;
            percent("persistence percentage", share)?;
            InvalidSetting::unless(!step.is_zero() && step <= window, || {
                format!("a persistence window of {window:?} has no step of {step:?}")
            })?;
        }
        if let Some(budget) = &self.churn_budget {
            percent("churn budget", budget.percent)?;
        }
        if let Some(trigger) = &self.outlier_trigger {
            positive("outlier ratio", trigger.ratio)?;
            percent("outlier percentage", trigger.percent)?;
        }
        Ok(())
    }
}

fn positive(what: &str, value: f64) -> Result<(), InvalidSetting> {
    InvalidSetting::unless(value.is_finite() && value > 0.0, || {
        format!("the {what} is {value}; it must be a finite number above 0")
    })
}

fn percent(what: &str, value: u32) -> Result<(), InvalidSetting> {
    InvalidSetting::unless((1..=100).contains(&value), || {
        format!("the {what} is {value} %; it must be 1 to 100, or off")
    })
}
