package layers

// pairs are the arrows between rooms, test rooms and cmd (which wires everything) apart.
func pairs() []pair {
	return []pair{
		{"tenant", "model"},
	}
}
