//! Rows of an answer by their place, which is mostly the namespace and what stands behind it: `shop/orders-0`.

use std::ops::Range;

/// Rows in the order of their places, which stand one after another in one text.
#[derive(Debug)]
pub(super) struct Placed<T> {
    text: String,
    rows: Vec<(Range<usize>, T)>,
}

/// Which places are those of one workload.
#[derive(Debug)]
pub(super) struct Home {
    /// How a place of the workload may begin, and how many bytes of that are the namespace and the slash after it.
    starts: Vec<(usize, String)>,
}

impl Home {
    /// The places of pods of `namespace` whose names begin with one of `prefixes`, or of all its pods where there is no prefix. A
    /// place without a namespace may be of any workload.
    pub(super) fn new(namespace: &str, prefixes: &[&str]) -> Self {
        // A longer prefix selects nothing more.
        let is_needed =
            |prefix: &&&str| !prefixes.iter().any(|other| *prefix != other && prefix.starts_with(other));
        let mut needed: Vec<&str> = prefixes.iter().filter(is_needed).copied().collect();
        if needed.is_empty() {
            needed.push("");
        }
        let within = |namespace: &str| -> Vec<(usize, String)> {
            needed.iter().map(|prefix| (namespace.len() + 1, format!("{namespace}/{prefix}"))).collect()
        };
        Self { starts: [within(""), within(namespace)].concat() }
    }
}

impl<T> Placed<T> {
    /// All rows.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &T)> {
        self.rows.iter().map(|(place, row)| (&self.text[place.clone()], row))
    }

    /// The rows whose places begin with `start`, each with its place.
    pub(super) fn beginning<'r>(
        &'r self,
        start: &str,
    ) -> impl Iterator<Item = (&'r str, &'r T)> + use<'r, T> {
        let first = self.rows.partition_point(|(place, _)| &self.text[place.clone()] < start);
        let start = start.to_owned();
        self.rows[first..]
            .iter()
            .map(|(place, row)| (&self.text[place.clone()], row))
            .take_while(move |(place, _)| place.starts_with(start.as_str()))
    }

    /// The rows whose places begin with `start`, each with the rest of its place.
    pub(super) fn starting<'r>(&'r self, start: &str) -> impl Iterator<Item = (&'r str, &'r T)> + use<'r, T> {
        let length = start.len();
        self.beginning(start).map(move |(place, row)| (&place[length..], row))
    }

    /// The rows of a workload, each with its place without the namespace.
    pub(super) fn of<'r>(&'r self, home: &'r Home) -> impl Iterator<Item = (&'r str, &'r T)> {
        home.starts.iter().flat_map(|(namespace, start)| {
            self.beginning(start)
                .filter(|(place, _)| place.len() > start.len())
                .map(|(place, row)| (&place[*namespace..], row))
        })
    }
}

impl<T, P: AsRef<str>> FromIterator<(P, T)> for Placed<T> {
    fn from_iter<I: IntoIterator<Item = (P, T)>>(rows: I) -> Self {
        let mut text = String::new();
        let mut place = |place: P| {
            let start = text.len();
            text.push_str(place.as_ref());
            start..text.len()
        };
        let mut rows: Vec<(Range<usize>, T)> = rows.into_iter().map(|(of, row)| (place(of), row)).collect();
        rows.sort_by(|(one, _), (other, _)| text[one.clone()].cmp(&text[other.clone()]));
        Self { text, rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(namespace: &str, prefixes: &[&str]) -> Vec<(String, u32)> {
        let places = [
            "shop/orders-1",
            "shop/orders-0",
            "shop/orders-",
            "shop/pay-0",
            "shopping/orders-0",
            "/orders-9",
        ];
        let rows: Placed<u32> =
            places.iter().zip(0..).map(|(place, row)| ((*place).to_owned(), row)).collect();
        rows.of(&Home::new(namespace, prefixes)).map(|(place, row)| (place.to_owned(), *row)).collect()
    }

    #[test]
    fn a_workload_has_the_rows_of_its_namespace_and_names() {
        let row = |place: &str, row| (place.to_owned(), row);
        assert_eq!(found("shop", &["orders-"]), [row("orders-9", 5), row("orders-0", 1), row("orders-1", 0)]);
        assert_eq!(found("shopping", &["orders-"]), [row("orders-9", 5), row("orders-0", 4)]);
        assert_eq!(found("shop", &["orders-", "orders-1", "pay-"]).len(), 4, "each row once");
        assert_eq!(found("shop", &[]).len(), 5, "no prefix is every pod");
        assert_eq!(found("nowhere", &["pay-"]), []);
    }
}
