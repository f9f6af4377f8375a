//! Which steps there are, in which order.

use super::{Activation, Input, Provision, What};
use crate::lifecycle::Family;
use crate::workflows::types::StepName;

impl Input {
    /// Its steps in their order, each with whether it is required.
    pub(in crate::workflows) fn plan(&self) -> Vec<(StepName, bool)> {
        let mut steps = match &self.what {
            What::Provision(wanted) => wanted.steps(),
            What::Suspend { .. } => vec![StepName::DisableUser, StepName::SuspendAddresses],
            What::Resume { .. } => vec![StepName::EnableUser, StepName::ReactivateAddresses],
            What::Deprovision { .. } => {
                vec![StepName::DisableUser, StepName::SuspendAddresses, StepName::DisconnectPhone]
            }
        };
        if self.apply {
            steps.push(StepName::Apply);
        }
        // Asterisk knows them no more by now: after this nothing can fail.
        if matches!(self.what, What::Deprovision { .. }) {
            steps.push(StepName::RevokeAndDelete);
        }
        steps.into_iter().map(|step| (step, !self.optional.contains(&step))).collect()
    }
}

impl Provision {
    fn steps(&self) -> Vec<StepName> {
        let mut steps = vec![StepName::CreateUser];
        if self.phone.is_some() {
            steps.push(StepName::ConnectPhone);
        }
        steps.extend(self.leases.iter().map(|lease| match lease.family {
            Family::Ipv4 => StepName::AllocateIpv4,
            Family::Ipv6 => StepName::AllocateIpv6,
            Family::Prefix => StepName::AllocatePrefix,
        }));
        if !self.leases.is_empty() && self.activation != Activation::Later {
            steps.push(StepName::Activate);
        }
        if self.phone.is_some() {
            steps.push(StepName::RenderBootFile);
        }
        steps
    }
}
