//! An estimate of the best spread that any assignment of the partitions can reach.

use alloc::vec::Vec;

use crate::measure::spread::cv;

/// The spread of `loads` over `pods` pods with equal counts when the next largest load always goes to the
/// least loaded pod that may take one more. 0 without loads or pods.
///
/// ```
/// use rebalancer_core::best_spread;
///
/// assert_eq!(best_spread(&[3.0, 1.0, 2.0, 2.0], 2), 0.0);
/// assert_eq!(best_spread(&[8.0, 1.0, 1.0, 2.0], 2), 0.5, "nothing splits a hot partition");
/// ```
pub fn best_spread(loads: &[f64], pods: usize) -> f64 {
    if pods == 0 {
        return 0.0;
    }
    let mut falling = loads.to_vec();
    falling.sort_by(|a, b| b.total_cmp(a));
    let least = falling.len() / pods;
    let mut extras = falling.len() % pods;
    let mut dealt = alloc::vec![(0.0_f64, 0_usize); pods];
    for load in falling {
        let open = |count: usize| count < least || (count == least && extras > 0);
        let taker = dealt.iter_mut().filter(|(_, count)| open(*count)).min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((sum, count)) = taker else { break };
        extras -= usize::from(*count == least);
        *sum += load;
        *count += 1;
    }
    let sums: Vec<f64> = dealt.into_iter().map(|(sum, _)| sum).collect();
    cv(&sums)
}
