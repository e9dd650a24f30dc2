//! What a cloud must do for us, and the deadlines, retries and budgets around it.
