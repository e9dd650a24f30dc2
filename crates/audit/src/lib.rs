//! A record of every decision, and the sinks that keep it.
