//! Pages of lists.

/// The next items of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Whether the list has items after these.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// Returns the first `limit` items. Reads at most one item more.
    pub fn take(items: impl IntoIterator<Item = T>, limit: usize) -> Self {
        let mut items: Vec<_> = items.into_iter().take(limit.saturating_add(1)).collect();
        let has_more = items.len() > limit;
        items.truncate(limit);
        Self { items, has_more }
    }

    /// Returns the cursor of the next page, if there is one.
    pub fn next_cursor(&self, cursor: impl FnOnce(&T) -> String) -> Option<String> {
        self.items.last().filter(|_| self.has_more).map(cursor)
    }
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), has_more: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_has_a_cursor_when_items_follow() {
        let mut read = 0;
        let page = Page::take((1..).inspect(|_| read += 1), 2);
        assert_eq!((page.items.as_slice(), page.has_more), ([1, 2].as_slice(), true));
        assert_eq!(page.next_cursor(|item| item.to_string()).as_deref(), Some("2"));
        assert_eq!(read, 3);
    }

    #[test]
    fn page_has_no_cursor_when_it_is_the_last() {
        let page = Page::take(vec![1, 2], 2);
        assert_eq!((page.items.len(), page.next_cursor(|item| item.to_string())), (2, None));
        assert_eq!(Page::<i32>::default().next_cursor(|item| item.to_string()), None);
    }
}
