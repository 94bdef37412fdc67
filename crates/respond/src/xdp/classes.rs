//! Instruments with the same rules are of one class, so that the code of a rule is there once.

use super::plan::Plan;
use crate::config::Config;
use std::collections::HashMap;

/// The classes of all instruments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Classes {
    /// Of each class from 1 on: the programs that are asked, by their place in the plan.
    pub programs: Vec<Vec<usize>>,
    /// Of each instrument: its class; [`NOT_OURS`] where user space decides.
    pub of_instruments: Vec<u32>,
}

/// The class of instruments that user space decides on.
pub(super) const NOT_OURS: u32 = u32::MAX;

impl Classes {
    /// Class 0 has no rules.
    pub fn of(config: &Config, plan: &Plan) -> Classes {
        let count = config.settings.instruments.len();
        let mut lists = vec![Vec::new(); count];
        for (place, program) in plan.programs().iter().enumerate() {
            match &program.instruments {
                Some(list) => list.iter().for_each(|&at| lists[at as usize].push(place)),
                None => lists.iter_mut().for_each(|list| list.push(place)),
            }
        }
        let mut known: HashMap<Vec<usize>, u32> = HashMap::from([(Vec::new(), 0)]);
        let mut classes = Classes::default();
        for (number, list) in lists.into_iter().enumerate() {
            let next = known.len() as u32;
            let class = match plan.owns(number) {
                true => *known.entry(list).or_insert_with_key(|list| {
                    classes.programs.push(list.clone());
                    next
                }),
                false => NOT_OURS,
            };
            classes.of_instruments.push(class);
        }
        classes
    }
}
