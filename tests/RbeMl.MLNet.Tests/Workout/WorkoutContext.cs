using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>What the checks of one component share; made on first use.</summary>
internal sealed class WorkoutContext(MLContext ml, IEstimator<ITransformer> estimator, IDataView valid, WorkoutOptions options)
{
    private readonly Lazy<ITransformer> _transformer = new(() => estimator.Fit(valid));
    private readonly Lazy<ITransformer> _second = new(() => (options.Again?.Invoke() ?? estimator).Fit(valid));
    private ViewSnapshot? _input;
    private ViewSnapshot? _serial;

    public MLContext Ml => ml;

    public IEstimator<ITransformer> Estimator => estimator;

    public IDataView Valid => valid;

    public WorkoutOptions Options => options;

    /// <summary>The transformer, fitted once.</summary>
    public ITransformer Transformer => _transformer.Value;

    /// <summary>Fitted a second time.</summary>
    public ITransformer Second => _second.Value;

    /// <summary>All values of the valid data.</summary>
    public ViewSnapshot Input => _input ??= ViewSnapshot.Of(valid);

    /// <summary>All values of the transformed data: what every other way of reading must agree with.</summary>
    public ViewSnapshot Serial => _serial ??= ViewSnapshot.Of(View());

    /// <summary>Comparisons of the current check.</summary>
    public int Comparisons { get; set; }

    /// <summary>A new view of the transformed data.</summary>
    public IDataView View() => Transformer.Transform(valid);

    /// <summary>The mapper of the valid data's schema; skips the check if the transformer isn't one.</summary>
    public IRowToRowMapper Mapper(ITransformer? transformer = null)
    {
        transformer ??= Transformer;
        if (!transformer.IsRowToRowMapper) throw new CheckSkippedException("not a row-to-row mapper");
        return transformer.GetRowToRowMapper(valid.Schema);
    }

    /// <summary>Whether a column of the output is the input's own.</summary>
    public bool IsPassedOn(DataViewSchema.Column column) =>
        column.Index < valid.Schema.Count && valid.Schema[column.Index] is var source && source.Name == column.Name && source.Type.Equals(column.Type);

    /// <summary>The columns that the component makes.</summary>
    public DataViewSchema.Column[] Added(DataViewSchema schema) => [.. schema.Where(c => !IsPassedOn(c))];

    /// <summary>Fails the check unless a condition holds.</summary>
    public void Expect(bool condition, string message, string? column = null)
    {
        if (!condition) throw new CheckFailedException(column is null ? message : $"column '{column}': {message}");
        Comparisons++;
    }

    /// <summary>Fails the check unless a cell is the one that the serial cursor read.</summary>
    public void ExpectCell(int row, DataViewSchema.Column column, Cell actual, string how) =>
        ExpectSame(Serial[row, column], actual, $"row {row}, {how}", column.Name);

    /// <summary>Fails the check unless two cells are equal.</summary>
    public void ExpectSame(Cell expected, Cell actual, string how, string column) =>
        Expect(expected.Equals(actual), $"{how}: expected {expected}, got {actual}", column);

    /// <summary>Fails the check unless all cells that were read are those of the serial cursor; by position.</summary>
    public void ExpectRows(IReadOnlyList<RowSnapshot> rows, string how)
    {
        Expect(rows.Count == Serial.Rows.Count, $"{how}: expected {Serial.Rows.Count} rows, got {rows.Count}");
        for (int r = 0; r < rows.Count; r++) ExpectRow(r, rows[r], how);
    }

    /// <summary>Fails the check unless all cells that were read are those of a row of the serial cursor, and the id too.</summary>
    public void ExpectRow(int row, RowSnapshot actual, string how)
    {
        Expect(actual.Id.Equals(Serial.Rows[row].Id), $"row {row}, {how}: expected id {Serial.Rows[row].Id}, got {actual.Id}");
        foreach (DataViewSchema.Column column in Serial.Schema)
            if (actual.Cells[column.Index] is { } cell) ExpectCell(row, column, cell, how);
    }

    /// <summary>Fails the check unless an action throws exactly this exception, whose message holds a text.</summary>
    public void ExpectThrows<TException>(Action action, string what, string? column, string holds = "")
        where TException : Exception
    {
        Exception? thrown = Record.Exception(action);
        Expect(thrown is TException && thrown.Message.Contains(holds, StringComparison.Ordinal),
            $"{what}: expected {typeof(TException).Name}{(holds.Length > 0 ? $" with '{holds}' in it" : "")}, got " +
            (thrown is null ? "no exception" : $"{thrown.GetType().Name}: {thrown.Message}"), column);
    }
}
