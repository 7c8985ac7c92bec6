package blocks

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"slices"
	"strings"
)

// MergeParams name an output of a merge of the inputs. part counts the outputs that the merge is cut into, from 0; attempt
// tells apart objects whose name was taken by other bytes, or dropped. The inputs are of one partition, at least one, and each has had
// the tombstones applied that any of them has and that mask it.
//
// Nothing here depends on who merges or when: workers that race make the same object.
func MergeParams(inputs []*Meta, format Format, part int, attempt uint32) *Params {
	p := &Params{Tenant: inputs[0].Tenant, Day: inputs[0].Day, Format: format, Attempt: attempt, Sources: mergeSources(inputs)}
	for _, m := range inputs {
		p.Replaces = append(p.Replaces, m.ID)
		p.Tombstones = append(p.Tombstones, m.Tombstones...)
		p.CreatedMs = max(p.CreatedMs, m.CreatedMs)
	}
	slices.Sort(p.Tombstones)
	p.Tombstones = slices.Compact(p.Tombstones)
	p.ID = mergeID(p, format, part)
	return p
}

// mergeID is the hash of what makes the output: inputs in their order, tombstones applied, format, part and attempt.
func mergeID(p *Params, format Format, part int) string {
	b := appendString(nil, "varve merge id 1")
	b = appendString(b, p.Tenant)
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Day))
	b = appendStrings(b, p.Replaces)
	b = appendStrings(b, p.Tombstones)
	b = append(b, byte(format))
	b = binary.LittleEndian.AppendUint32(b, uint32(part))
	b = binary.LittleEndian.AppendUint32(b, p.Attempt)
	return hashID(b)
}

// hashID makes an id of what it depends on.
func hashID(b []byte) string {
	sum := sha256.Sum256(b)
	return strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}
