//! Many at once: no address is given twice, and nothing acknowledged is lost.
