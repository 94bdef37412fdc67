//! A condition and an order as steps that only jump forward.

use super::ast::Relation;
use super::num::{Num, Value};
use super::program::{Operand, Place, REGISTERS, REJECT, Step};
use super::test::Test;

/// A place that is not known yet: an index into [`Emitter::places`].
type Label = Place;

/// Writes steps.
pub(super) struct Emitter {
    steps: Vec<Step>,
    /// Where labels turned out to be.
    places: Vec<Place>,
}

/// The label of rules that do not fire.
const NO: Label = 0;

/// The steps need more registers, or more places, than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

type Result<T> = std::result::Result<T, TooLarge>;

/// The steps of a condition and then of two numbers, and where these are then. Falls through to the
/// end when the condition holds and all words in the numbers are known.
pub(super) fn emit(test: &Test, numbers: [&Num; 2]) -> Result<(Vec<Step>, [Operand; 2])> {
    let mut emitter = Emitter { steps: Vec::new(), places: vec![REJECT] };
    match test {
        Test::Const(true) => {}
        test => {
            let yes = emitter.label()?;
            emitter.test(test, yes, NO, true)?;
            emitter.here(yes);
        }
    }
    for number in numbers {
        emitter.known(&[number], NO);
    }
    let first = emitter.number(numbers[0], 0)?;
    let second = emitter.number(numbers[1], 1)?;
    let Emitter { mut steps, places } = emitter;
    for step in &mut steps {
        if let Step::Compare { to, .. } | Step::Known { to, .. } = step {
            *to = places[usize::from(*to)];
        }
    }
    Ok((steps, [first, second]))
}

impl Emitter {
    fn label(&mut self) -> Result<Label> {
        self.places.push(REJECT);
        Label::try_from(self.places.len() - 1).map_err(|_| TooLarge)
    }

    fn here(&mut self, label: Label) {
        // Steps are fewer than the bytes of an expression and those of its lists.
        self.places[usize::from(label)] = self.steps.len() as Place;
    }

    /// Goes to `yes` or `no`, of which the one that `next` says comes right behind.
    fn test(&mut self, test: &Test, yes: Label, no: Label, next: bool) -> Result<()> {
        match test {
            // Only a whole condition is constant, and of those only the true one is emitted.
            Test::Const(_) => {}
            Test::Not(inner) => self.test(inner, no, yes, !next)?,
            Test::And(all) => {
                let Some((last, rest)) = all.split_last() else { return Ok(()) };
                for test in rest {
                    let behind = self.label()?;
                    self.test(test, behind, no, true)?;
                    self.here(behind);
                }
                self.test(last, yes, no, next)?;
            }
            Test::Or(all) => {
                let Some((last, rest)) = all.split_last() else { return Ok(()) };
                for test in rest {
                    let behind = self.label()?;
                    self.test(test, yes, behind, false)?;
                    self.here(behind);
                }
                self.test(last, yes, no, next)?;
            }
            Test::Compare(left, relation, right) => {
                self.known(&[left, right], no);
                let (when, to) = if next { (false, no) } else { (true, yes) };
                self.compare(left, *relation, right, when, to)?;
            }
        }
        Ok(())
    }

    fn compare(
        &mut self,
        left: &Num,
        relation: Relation,
        right: &Num,
        when: bool,
        to: Label,
    ) -> Result<()> {
        let left = self.number(left, 0)?;
        let right = self.number(right, 1)?;
        self.steps.push(Step::Compare { left, relation, right, when, to });
        Ok(())
    }

    /// Goes to `no` when a word in the numbers is not known.
    fn known(&mut self, numbers: &[&Num], no: Label) {
        let mut words = Vec::new();
        numbers.iter().for_each(|number| number.words(&mut words));
        self.steps.extend(words.into_iter().map(|word| Step::Known { word, to: no }));
    }

    /// Computes a number; those below `register` are in use.
    fn number(&mut self, number: &Num, register: u8) -> Result<Operand> {
        match &number.value {
            Value::Operand(operand) => Ok(*operand),
            Value::Arith(arith, left, right) => {
                if usize::from(register) >= REGISTERS {
                    return Err(TooLarge);
                }
                let left = self.number(left, register)?;
                let right = self.number(right, register + 1)?;
                self.steps.push(Step::Arith { arith: *arith, left, right, into: register });
                Ok(Operand::Register(register))
            }
        }
    }
}
