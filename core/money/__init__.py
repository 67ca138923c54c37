"""What things cost: prices with their source, a meter that bills by the second, a budget."""
