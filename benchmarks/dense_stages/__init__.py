"""Which losses earn their passes on masks and boxes, so that `strongest` has the stages that it needs."""
