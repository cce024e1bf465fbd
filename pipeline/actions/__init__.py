"""What the verbs do: one file per action; the command line and the public interface are thin users of these."""
