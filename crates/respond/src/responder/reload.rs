//! Other rules and limits while it runs.

use super::{Responder, Tally};
use crate::settings::{Settings, SettingsError};
use crate::strategy::{Market, Strategy};

impl<S: Strategy, M: Market> Responder<'_, S, M> {
    /// Goes on with other rules and limits: see [`Checks::reload`](crate::Checks::reload). What was
    /// counted of a rule stays with its number. The strategy that decided until now.
    ///
    /// # Errors
    /// [`SettingsError`]: then nothing has changed.
    ///
    /// # Panics
    /// When feeds, targets or instruments are others.
    pub fn reload(&mut self, settings: &Settings, strategy: S) -> Result<S, SettingsError> {
        self.checks.reload(settings)?;
        let rules = settings.rules.len().max(self.rules.len());
        self.rules.resize(rules, Tally::default());
        Ok(std::mem::replace(&mut self.strategy, strategy))
    }

    /// What it knows of the markets.
    pub fn market(&mut self) -> &mut M {
        &mut self.market
    }
}
