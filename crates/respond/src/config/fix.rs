//! The session of a target that speaks FIX.

use super::error::ConfigError;
use super::raw;
use super::target::Reading;
use crate::order::Scale;
use crate::session::Secret;
use crate::session::fix::{FixSettings, FixVersion};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

type Result<T> = std::result::Result<T, ConfigError>;

impl Reading<'_> {
    pub(super) fn fix(
        &self,
        fix: Option<Spanned<raw::Fix>>,
        version: FixVersion,
    ) -> Result<FixSettings> {
        let such = "fix = { sender_comp_id = \"US\", target_comp_id = \"THEM\" }";
        let fix = fix.ok_or_else(|| self.needs("fix", such))?;
        let (span, fix) = (fix.span(), fix.into_inner());
        if fix.password.is_some() && fix.password_file.is_some() {
            return Err(self.error(&span, "fix has one of password and password_file"));
        }
        let default = FixSettings::new(version, &fix.sender_comp_id, &fix.target_comp_id);
        let mut order_fields = self.fields(&fix.order_fields, &span)?;
        for field in &default.order_fields {
            if !order_fields.iter().any(|(tag, _)| *tag == field.0) {
                order_fields.push(field.clone());
            }
        }
        let settings = FixSettings {
            username: fix.username,
            password: fix.password.map(Secret),
            heartbeat_s: fix.heartbeat_s.unwrap_or(default.heartbeat_s),
            reset_on_logon: fix.reset_on_logon.unwrap_or(default.reset_on_logon),
            peer_may_reset: fix.peer_may_reset.unwrap_or(default.peer_may_reset),
            test_after_logon: fix.test_after_logon.unwrap_or(default.test_after_logon),
            resend_orders_ms: fix.resend_orders_ms.unwrap_or(default.resend_orders_ms),
            sending_time_s_max: match fix.sending_time_s_max {
                Some(0) => None,
                Some(seconds) => Some(seconds),
                None => default.sending_time_s_max,
            },
            price_decimals: fix.price_decimals.unwrap_or(default.price_decimals),
            header_fields: self.fields(&fix.header_fields, &span)?,
            logon_fields: self.fields(&fix.logon_fields, &span)?,
            order_fields,
            ..default
        };
        // The scale has at least these decimals, so only what else cannot be is found.
        let checked = settings.check(Scale(settings.price_decimals));
        checked.map_err(|error| self.error(&span, error))?;
        Ok(settings)
    }

    /// `{ 1 = "ACCOUNT", 100 = "XNAS" }`.
    fn fields(
        &self,
        fields: &BTreeMap<String, String>,
        span: &Range<usize>,
    ) -> Result<Vec<(u32, String)>> {
        let field = |(tag, value): (&String, &String)| match tag.parse() {
            Ok(tag) => Ok((tag, value.clone())),
            Err(_) => Err(self.error(span, format!("{tag:?} is no tag: write its number"))),
        };
        fields.iter().map(field).collect()
    }
}
