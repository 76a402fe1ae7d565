//! Builds the causes from the findings.

use alloc::string::ToString;

use crate::diagnosis::behind::FallingBehind;
use crate::diagnosis::cause::{Behind, Cause, Stands};
use crate::diagnosis::illness::{IllPod, Illness, SICK_RATIO, STALLED_SHARE};
use crate::diagnosis::standing::{StandingPartition, Witness};
use crate::measure::analysis::Analysis;

pub(super) fn ill_cause(ill: &IllPod, analysis: &Analysis<'_>) -> Cause {
    let pod = analysis.name(ill.position).to_string();
    match &ill.illness {
        Illness::Sick { ratio } => Cause::SickPod { pod, ratio: *ratio, limit: SICK_RATIO },
        Illness::Stalled { share, partitions, standing } => Cause::StalledPod {
            pod,
            share: *share,
            limit: STALLED_SHARE,
            partitions: *partitions,
            standing: standing.as_ref().map(Stands::from),
        },
        Illness::Stuck(standing) => Cause::StuckPartition {
            pod,
            standing: standing.into(),
            moving: standing.moving,
            others: standing.others,
        },
    }
}

pub(super) fn poison(standing: &StandingPartition, witness: &Witness) -> Cause {
    Cause::PoisonRecord {
        pod: standing.pod.clone(),
        standing: standing.into(),
        evidence: witness.to_string(),
    }
}

pub(super) fn hot_by_offsets(behind: &FallingBehind) -> Cause {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let backlog = behind.backlog as u64;
    Cause::HotPartition {
        topic: behind.topic.clone(),
        partition: behind.partition,
        share: behind.share,
        share_of_busiest: behind.share_of_pod,
        behind: Some(Behind {
            backlog,
            written_per_second: behind.written_per_second,
            read_per_second: behind.read_per_second,
        }),
    }
}
