"""Write each epoch of a run to ``history.csv`` and for TensorBoard."""

from pathlib import Path

from nsfwscan.util.files import write_errors
from nsfwtrain.data.tables import write_table
from nsfwtrain.model.keras import tf
from nsfwtrain.run.results import HISTORY_FILE
from nsfwtrain.run.state import State


class Log:
    """Writes each epoch into a run's folder, after those of a state.

    Raises
    ------
    OutputError
        If ``history.csv`` cannot be written.
    """

    def __init__(self, out: Path, state: State) -> None:
        self._path = out / HISTORY_FILE
        # Once as a whole, since a killed run may have left a row more or less than its state has.
        write_table(self._path, state.history)
        self._train = tf.summary.create_file_writer(str(out / "logs" / "train"))
        self._validation = tf.summary.create_file_writer(str(out / "logs" / "validation"))

    def write(self, state: State) -> None:
        """Append the last epoch to the history, and write it for TensorBoard.

        The file of a killed run may lack the last row.

        Raises
        ------
        OutputError
            If ``history.csv`` cannot be written.
        """
        row, head = state.history.iloc[-1], state.head
        with write_errors(self._path), self._path.open("a", encoding="utf-8", newline="") as file:
            state.history.tail(1).to_csv(file, header=False, index=False, lineterminator="\n")
        with self._train.as_default(step=int(row.epoch)):
            tf.summary.scalar("loss", row.loss)
            tf.summary.scalar("accuracy", row.accuracy)
            tf.summary.histogram("probability/kernel", head[0])
            tf.summary.histogram("probability/bias", head[1])
        with self._validation.as_default(step=int(row.epoch)):
            tf.summary.scalar("loss", row.val_loss)
            tf.summary.scalar("accuracy", row.val_accuracy)

    def close(self) -> None:
        """Close the files."""
        self._train.close()
        self._validation.close()
