// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

// Changed returns a channel that is closed when something next changes that
// the Policy API tells: objects, the state of their realization, virtual
// machines, statuses, or that a manager was started. It stands for what a
// manager pushes to its transport nodes, and is for those who stand for these:
//
//	for {
//		changed := srv.Changed() // before reading, so that no change is missed
//		read(srv)
//		<-changed
//	}
//
// What only time brings about, such as the end of a realization's delay, closes
// no channel.
func (s *Server) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// notify closes the channel that somebody may wait on. The lock is held.
func (s *Server) notify() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}
