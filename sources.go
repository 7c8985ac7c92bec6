package varve

import (
	"errors"
	"sync"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/cluster/wire"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
)

// sources gives a query the writers that it can ask: our own, and those with an address. Safe for concurrent use.
type sources struct {
	own  model.Source
	opts wire.ClientOptions

	mu      sync.Mutex // guards clients
	clients map[peer]*wire.Client
}

// peer is a writer at an address.
type peer struct{ writer, address string }

func newSources(own model.Source, opts wire.ClientOptions) *sources {
	if opts.HTTP == nil {
		opts.HTTP = wire.NewHTTPClient()
	}
	return &sources{own: own, opts: opts, clients: map[peer]*wire.Client{}}
}

// of is query.Components.Sources.
func (s *sources) of(roster *catalog.Roster) (found []model.Source, missing []query.Unreachable) {
	own := s.own.Writer()
	found = append(found, s.own)
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.clients {
		if w := roster.Find(p.writer); w == nil || w.State != catalog.Active || w.Address != p.address {
			delete(s.clients, p)
		}
	}
	for i := range roster.Writers {
		w := &roster.Writers[i]
		if w.State != catalog.Active || w.ID == own {
			continue
		}
		c, err := s.client(peer{w.ID, w.Address})
		if err != nil {
			missing = append(missing, query.Unreachable{Writer: w.ID, Err: err})
			continue
		}
		found = append(found, c)
	}
	return found, missing
}

// client returns the client of a peer. The caller holds mu.
func (s *sources) client(p peer) (*wire.Client, error) {
	if c := s.clients[p]; c != nil {
		return c, nil
	}
	if p.address == "" {
		return nil, errors.New("it gave no address to the roster (--advertise)")
	}
	c, err := wire.NewClient(p.writer, p.address, &s.opts)
	if err != nil {
		return nil, err
	}
	s.clients[p] = c
	return c, nil
}

func (s *sources) close() { s.opts.HTTP.CloseIdleConnections() }
