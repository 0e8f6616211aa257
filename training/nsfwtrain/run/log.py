"""Write each epoch of a run to ``history.csv`` and for TensorBoard."""

from pathlib import Path

from nsfwtrain.data.tables import write_table
from nsfwtrain.model.keras import tf
from nsfwtrain.run.results import HISTORY_FILE
from nsfwtrain.run.state import State


class Log:
    """Writes each epoch into a run's folder."""

    def __init__(self, out: Path) -> None:
        self._path = out / HISTORY_FILE
        self._train = tf.summary.create_file_writer(str(out / "logs" / "train"))
        self._validation = tf.summary.create_file_writer(str(out / "logs" / "validation"))

    def write(self, state: State) -> None:
        """Write the last epoch for TensorBoard, and the whole history.

        The file of a killed run may lack the last row.

        Raises
        ------
        OutputError
            If ``history.csv`` cannot be written.
        """
        row, head = state.history.iloc[-1], state.head
        write_table(self._path, state.history)
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
