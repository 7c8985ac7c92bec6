package vmline

import "bytes"

// bare are values that old versions of VictoriaMetrics write as they stand.
var bare = [][]byte{[]byte("+Inf"), []byte("-Inf"), []byte("Inf"), []byte("NaN")}

// quoteBare returns a copy of a line with quotes around what stands in an array and is infinite, or no number; false if there is nothing such.
func quoteBare(line []byte) (quoted []byte, found bool) {
	if !bytes.Contains(line, []byte("Inf")) && !bytes.Contains(line, []byte("NaN")) {
		return nil, false
	}
	inString := false
	for i := 0; i < len(line); i++ {
		c := line[i]
		quoted = append(quoted, c)
		switch {
		case inString && c == '\\' && i+1 < len(line):
			i++
			quoted = append(quoted, line[i])
		case c == '"':
			inString = !inString
		case !inString && (c == '[' || c == ','):
			word := bareWord(line[i+1:])
			if word == nil {
				continue
			}
			found = true
			quoted = append(append(append(quoted, '"'), word...), '"')
			i += len(word)
		}
	}
	return quoted, found
}

// bareWord is the word that a text begins with, if a value ends behind it.
func bareWord(b []byte) []byte {
	for _, word := range bare {
		if bytes.HasPrefix(b, word) && len(b) > len(word) && (b[len(word)] == ',' || b[len(word)] == ']') {
			return word
		}
	}
	return nil
}
