package lifecycle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// RetentionSetting is the name under which the root of a tenant holds its Retention, as JSON.
const RetentionSetting = "retention"

// Retention says how long samples of a tenant are kept. It is data: stored in the tenant's root, read anew with every look.
//
// A series has the ages of the first rule that matches it, and those of the tenant where no rule matches or the rule does not say. First, as in a
// list of relabelings or routes, and not the longest or the shortest of all that match: so an exception is written above what it is an exception to, be it
// longer or shorter.
//
// Samples go by whole UTC days: a day of samples expires when all of it is older than the age. It is a day late at most and never early.
//
// Rollups are made for a tenant who says an age for them, be it in one rule. They hold all series then; those for which nobody says an age of rollups lose them
// together with their raw samples. Raw samples do not expire before they are in the rollups, unless these have expired too.
type Retention struct {
	Raw     Age             `json:"raw,omitempty"`
	Rollups Age             `json:"rollups,omitempty"`
	Rules   []RetentionRule `json:"rules,omitempty"`
}

// RetentionRule gives ages of their own to the series that match.
type RetentionRule struct {
	// Matchers are one selector in PromQL's syntax, for example {job="debug"}.
	Matchers string `json:"matchers"`
	Raw      Age    `json:"raw,omitempty"`
	// Rollups is the age of what rollups keep of the series.
	Rollups Age `json:"rollups,omitempty"`
}

// Age is how long something is kept: a duration as Prometheus writes it (30d, 2y), "forever", or "", which leaves it to whoever is asked next: the tenant for a
// rule, the worker's Config for a tenant.
type Age string

// Forever is the Age of what does not expire.
const Forever Age = "forever"

// ParseAge reads an age. Less than a day is refused, since days go as a whole. The error wraps model.ErrInvalid.
func ParseAge(s string) (Age, error) {
	if s == "" || Age(s) == Forever {
		return Age(s), nil
	}
	d, err := prommodel.ParseDuration(s)
	if err != nil {
		return "", fmt.Errorf("age %.100q is no duration such as 30d, nor \"forever\": %w", s, model.ErrInvalid)
	}
	if time.Duration(d) < 24*time.Hour {
		return "", fmt.Errorf("age %s is less than a day, and days expire as a whole: %w", s, model.ErrInvalid)
	}
	return Age(s), nil
}

// ms is the age in milliseconds, 0 for ever. The age is valid and not "".
func (a Age) ms() int64 {
	d, err := prommodel.ParseDuration(string(a))
	if err != nil {
		return 0
	}
	return time.Duration(d).Milliseconds()
}

// or is a, or b if a says nothing.
func (a Age) or(b Age) Age {
	if a == "" {
		return b
	}
	return a
}

const (
	maxRetentionRules = 64
	// maxSelectors bounds what it takes to say in selectors which series have expired; see expired.selectors.
	maxSelectors = 256
)

// Check returns an error that wraps model.ErrInvalid unless the retention can be stored and obeyed.
func (r *Retention) Check() error {
	if len(r.Rules) > maxRetentionRules {
		return fmt.Errorf("retention: %d rules, at most %d are allowed: %w", len(r.Rules), maxRetentionRules, model.ErrInvalid)
	}
	for _, a := range []Age{r.Raw, r.Rollups} {
		if _, err := ParseAge(string(a)); err != nil {
			return fmt.Errorf("retention: %w", err)
		}
	}
	for i, rule := range r.Rules {
		if err := rule.check(); err != nil {
			return fmt.Errorf("retention: rule %d: %w", i+1, err)
		}
	}
	if _, err := r.parse(""); err != nil {
		return err
	}
	_, err := r.parseRollups("")
	return err
}

func (r *RetentionRule) check() error {
	if r.Raw == "" && r.Rollups == "" {
		return fmt.Errorf("%s says nothing about raw or rollups: %w", r.Matchers, model.ErrInvalid)
	}
	for _, a := range []Age{r.Raw, r.Rollups} {
		if _, err := ParseAge(string(a)); err != nil {
			return err
		}
	}
	if strings.Contains(r.Matchers, "\n") {
		return fmt.Errorf("%q is more than one selector: %w", r.Matchers, model.ErrInvalid)
	}
	_, err := catalog.ParseSelectors(r.Matchers)
	return err
}

// RetentionOf returns what the root says, the zero Retention if it says nothing. The error wraps model.ErrInvalid; nothing expires then.
func RetentionOf(root *catalog.Root) (Retention, error) {
	var r Retention
	text, ok := root.Settings[RetentionSetting]
	if !ok {
		return r, nil
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields() // a rule that a later version understands in another way must not delete anything here
	if err := dec.Decode(&r); err != nil {
		return Retention{}, fmt.Errorf("retention of tenant %s: %v: %w", root.Tenant, err, model.ErrInvalid)
	}
	if err := r.Check(); err != nil {
		return Retention{}, fmt.Errorf("tenant %s: %w", root.Tenant, err)
	}
	return r, nil
}

// SetRetention puts r, which was checked, into the root's settings; nil takes it out.
func SetRetention(root *catalog.Root, r *Retention) error {
	if r == nil {
		delete(root.Settings, RetentionSetting)
		return nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("retention: %w", err)
	}
	if root.Settings == nil {
		root.Settings = map[string]string{}
	}
	root.Settings[RetentionSetting] = string(text)
	return nil
}

// rollsUp reports whether rollups are made for the tenant.
func (r *Retention) rollsUp() bool {
	return r.Rollups != "" || slices.ContainsFunc(r.Rules, func(rule RetentionRule) bool { return rule.Rollups != "" })
}

// ageRules are the rules about raw samples, or those about rollups, ready to be used.
type ageRules struct {
	rules []ageRule
	// ms is the age of what no rule matches; 0 is for ever, here and there.
	ms int64
}

type ageRule struct {
	matchers []*labels.Matcher
	ms       int64
}

// parse makes rules about raw samples of r, with def for what it does not say.
func (r *Retention) parse(def Age) (*ageRules, error) {
	return r.parseBy(func(raw, _ Age) Age { return raw.or(def) })
}

// parseRollups makes rules about rollups of r: what it has no age for goes with the raw samples, whose age is def if it does not say.
func (r *Retention) parseRollups(def Age) (*ageRules, error) {
	return r.parseBy(func(raw, rollups Age) Age { return rollups.or(raw).or(def) })
}

func (r *Retention) parseBy(age func(raw, rollups Age) Age) (*ageRules, error) {
	out := &ageRules{ms: age(r.Raw, r.Rollups).ms()}
	for i, rule := range r.Rules {
		selectors, err := catalog.ParseSelectors(rule.Matchers)
		if err != nil {
			return nil, fmt.Errorf("retention: rule %d: %w", i+1, err)
		}
		out.rules = append(out.rules, ageRule{selectors[0], age(rule.Raw.or(r.Raw), rule.Rollups.or(r.Rollups)).ms()})
	}
	for _, rule := range append(slices.Clip(out.rules), ageRule{ms: out.ms}) {
		if out.at(rule.ms).tooMany() {
			return nil, fmt.Errorf("retention: after %v it takes more than %d selectors to say what has expired; give rules that keep series longer than later ones fewer matchers: %w",
				time.Duration(rule.ms)*time.Millisecond, maxSelectors, model.ErrInvalid)
		}
	}
	return out, nil
}

// expired are the rules as they stand at one age of a day.
type expired struct {
	rules []expiredRule
	// rest: what no rule matches has expired.
	rest bool
}

type expiredRule struct {
	matchers []*labels.Matcher
	expired  bool
}

// at returns what has expired of a day that ended the age ago. Rules at the end that say the same as what comes after them are left out, so that rules that
// have no effect yet make no difference.
func (r *ageRules) at(ageMs int64) *expired {
	gone := func(ms int64) bool { return ms > 0 && ageMs >= ms }
	e := &expired{rest: gone(r.ms)}
	for _, rule := range slices.Backward(r.rules) {
		if x := gone(rule.ms); len(e.rules) > 0 || x != e.rest {
			e.rules = append(e.rules, expiredRule{rule.matchers, x})
		}
	}
	slices.Reverse(e.rules)
	return e
}

// everything reports whether all series have expired, nothing whether none has.
func (e *expired) everything() bool { return e.rest && len(e.rules) == 0 }
func (e *expired) nothing() bool    { return !e.rest && len(e.rules) == 0 }

// next is the age at which something changes, after the given one; 0 if nothing ever does.
func (r *ageRules) next(ageMs int64) (ms int64) {
	for _, rule := range append(slices.Clip(r.rules), ageRule{ms: r.ms}) {
		if rule.ms > ageMs && (ms == 0 || rule.ms < ms) {
			ms = rule.ms
		}
	}
	return ms
}

// tooMany reports whether there would be more than maxSelectors.
func (e *expired) tooMany() bool {
	n, kept := 0, 1
	for _, rule := range e.rules {
		if rule.expired {
			n += kept
		} else {
			kept = min(kept*len(rule.matchers), maxSelectors+1)
		}
	}
	if e.rest {
		n += kept
	}
	return n > maxSelectors
}

// selectors says in a union of selectors which series have expired: those that match a rule which has, and of each rule before it that
// has not, fail a matcher; one selector for each choice of these. A series without a name that only the rest could match is not among them: no selector of
// nothing but negations is allowed; it goes with the whole block.
func (e *expired) selectors() [][]*labels.Matcher {
	var out [][]*labels.Matcher
	kept := [][]*labels.Matcher{nil} // the choices of matchers that fail
	for _, rule := range e.rules {
		if rule.expired {
			for _, not := range kept {
				out = append(out, append(slices.Clone(rule.matchers), not...))
			}
			continue
		}
		var more [][]*labels.Matcher
		for _, not := range kept {
			for _, m := range rule.matchers {
				inverse, err := m.Inverse()
				if err != nil {
					panic("bug: lifecycle: the inverse of a matcher that parsed: " + err.Error())
				}
				more = append(more, append(slices.Clone(not), inverse))
			}
		}
		kept = more
	}
	if e.rest {
		named := labels.MustNewMatcher(labels.MatchRegexp, prommodel.MetricNameLabel, ".+")
		for _, not := range kept {
			out = append(out, append([]*labels.Matcher{named}, not...))
		}
	}
	return out
}
