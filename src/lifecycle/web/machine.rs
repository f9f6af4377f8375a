//! The machine as a diagram, drawn by the server, with how many assignments are where.

use askama::Template;

use super::{LIST, Totals};
use crate::auth::Operator;
use crate::lifecycle::counts;
use crate::lifecycle::state::{Operation, State};
use crate::web::{Answer, Shell, ok};

/// A state's box: its upper left corner.
struct Node {
    state: State,
    x: i32,
    y: i32,
    count: i64,
}

/// A step's arrow.
struct Arrow {
    from: State,
    to: State,
    path: &'static str,
    /// Where its name stands; nowhere for those that fail, which would cover each other.
    label: Option<(i32, i32, &'static str)>,
}

/// Where the boxes are, each 130 by 56.
const PLACES: [(State, i32, i32); 7] = [
    (State::Pending, 10, 70),
    (State::Allocated, 230, 70),
    (State::Active, 450, 70),
    (State::Suspended, 450, 210),
    (State::Revoking, 670, 140),
    (State::Revoked, 880, 140),
    (State::Failed, 230, 330),
];

const ARROWS: [Arrow; 14] = [
    Arrow {
        from: State::Pending,
        to: State::Allocated,
        path: "M140 98 H223",
        label: Some((182, 90, "allocate")),
    },
    Arrow {
        from: State::Allocated,
        to: State::Active,
        path: "M360 98 H443",
        label: Some((402, 90, "activate")),
    },
    Arrow {
        from: State::Active,
        to: State::Suspended,
        path: "M490 126 V203",
        label: Some((452, 170, "suspend")),
    },
    Arrow {
        from: State::Suspended,
        to: State::Active,
        path: "M540 210 V133",
        label: Some((590, 170, "reactivate")),
    },
    Arrow {
        from: State::Allocated,
        to: State::Revoking,
        path: "M295 70 C295 10 735 10 735 133",
        label: Some((515, 18, "revoke")),
    },
    Arrow {
        from: State::Active,
        to: State::Revoking,
        path: "M580 98 C640 98 625 152 663 156",
        label: Some((640, 112, "revoke")),
    },
    Arrow {
        from: State::Suspended,
        to: State::Revoking,
        path: "M580 238 C640 238 625 184 663 180",
        label: Some((640, 244, "revoke")),
    },
    Arrow {
        from: State::Revoking,
        to: State::Revoked,
        path: "M800 168 H873",
        label: Some((837, 160, "complete")),
    },
    Arrow {
        from: State::Pending,
        to: State::Failed,
        path: "M90 126 C90 250 150 345 223 350",
        label: None,
    },
    Arrow { from: State::Allocated, to: State::Failed, path: "M295 126 V323", label: None },
    Arrow {
        from: State::Active,
        to: State::Failed,
        path: "M455 126 C420 230 380 300 345 325",
        label: None,
    },
    Arrow {
        from: State::Suspended,
        to: State::Failed,
        path: "M515 266 C500 320 430 350 367 350",
        label: None,
    },
    Arrow {
        from: State::Revoking,
        to: State::Failed,
        path: "M735 196 C735 340 520 375 367 368",
        label: None,
    },
    Arrow {
        from: State::Failed,
        to: State::Pending,
        path: "M230 376 C90 376 40 280 40 133",
        label: Some((66, 300, "retry")),
    },
];

impl Arrow {
    /// By which operation.
    fn operation(&self) -> &'static str {
        let all = Operation::ALL.into_iter();
        let mut those = all
            .filter(|operation| operation.target() == self.to && operation.allowed_in(self.from));
        those.next().map_or("", Operation::as_str)
    }

    fn fails(&self) -> bool {
        self.to == State::Failed
    }
}

#[derive(Template)]
#[template(path = "lifecycle/machine.html")]
struct MachinePage {
    shell: Shell,
    nodes: Vec<Node>,
    arrows: &'static [Arrow],
    totals: Totals,
}

impl MachinePage {
    /// The diagram in one sentence, for whoever does not see it.
    fn said(&self) -> String {
        let counts = self.nodes.iter().map(|node| format!("{} {}", node.count, node.state));
        format!("Seven states: {}.", counts.collect::<Vec<_>>().join(", "))
    }

    fn next(state: &State) -> Vec<(&'static str, &'static str)> {
        let all = state.next().iter();
        all.map(|to| {
            let arrow = ARROWS.iter().find(|arrow| arrow.from == *state && arrow.to == *to);
            (to.as_str(), arrow.map_or("", Arrow::operation))
        })
        .collect()
    }
}

pub(super) async fn show(by: Operator) -> Answer {
    let mut tx = by.read().await?;
    let totals = Totals::of(&counts(&mut tx, by.tenant()).await?);
    let node = |(state, x, y)| Node { state, x, y, count: totals.get(state) };
    ok(&MachinePage {
        shell: by.shell(&mut tx, LIST).await?,
        nodes: PLACES.map(node).into(),
        arrows: &ARROWS,
        totals,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_diagram_has_every_step_of_the_machine_and_no_other() {
        let drawn: Vec<(State, State)> =
            ARROWS.iter().map(|arrow| (arrow.from, arrow.to)).collect();
        for from in State::ALL {
            for to in State::ALL {
                let count = drawn.iter().filter(|step| **step == (from, to)).count();
                assert_eq!(count, usize::from(from.may_become(to)), "{from} -> {to}");
            }
            assert_eq!(PLACES.iter().filter(|(state, _, _)| *state == from).count(), 1);
        }
        for arrow in &ARROWS {
            assert!(!arrow.operation().is_empty(), "{} -> {}", arrow.from, arrow.to);
            if let Some((_, _, name)) = arrow.label {
                assert_eq!(name, arrow.operation());
            }
        }
    }
}
