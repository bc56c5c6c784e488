using Microsoft.ML;
using RbeMl.MLNet.Columns;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.MLNet.Similarity;

/// <summary>Pairs of texts that a cursor read once, as token ids.</summary>
/// <param name="Pairs">The pairs.</param>
/// <param name="Skipped">Rows left out: a text or the label is missing.</param>
internal sealed record SimilarityData(IReadOnlyList<SimilarityPair> Pairs, int Skipped)
{
    private const int RowsPerCheck = 256;

    /// <summary>Reads all rows.</summary>
    /// <exception cref="InvalidOperationException">A label is outside the scale, or there is no row to train on.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static SimilarityData Read(SentenceSimilarityOptions options, IDataView input, SentenceEncoder encoder)
    {
        DataViewSchema.Column first = TextColumn.Find(input.Schema, options.Sentence1ColumnName);
        DataViewSchema.Column second = TextColumn.Find(input.Schema, options.Sentence2ColumnName);
        DataViewSchema.Column? label = options.NeedsLabel ? NumberColumn.Find(input.Schema, options.LabelColumnName) : null;
        List<SimilarityPair> pairs = [];
        int skipped = 0;
        using DataViewRowCursor cursor = input.GetRowCursor(label is { } l ? [first, second, l] : [first, second]);
        Func<string> readFirst = TextColumn.Reader(cursor, first), readSecond = TextColumn.Reader(cursor, second);
        Func<double>? readLabel = label is { } own ? NumberColumn.Reader(cursor, own) : null;
        while (cursor.MoveNext())
        {
            if (cursor.Position % RowsPerCheck == 0) options.Cancellation.ThrowIfCancellationRequested();
            string one = readFirst(), other = readSecond();
            double value = readLabel?.Invoke() ?? options.HighestLabel;
            if (one.Length == 0 || other.Length == 0 || double.IsNaN(value))
            {
                skipped++;
                continue;
            }

            if (!(value >= options.LowestLabel && value <= options.HighestLabel))
            {
                string found = FormattableString.Invariant($"{value}, outside {options.LowestLabel} .. {options.HighestLabel}");
                throw new InvalidOperationException(
                    $"Row {cursor.Position} of column '{options.LabelColumnName}' has the label {found}. Set {nameof(options.LowestLabel)} and "
                    + $"{nameof(options.HighestLabel)} to the scale of the labels.");
            }

            float cosine = (float)((value - options.LowestLabel) / (options.HighestLabel - options.LowestLabel));
            pairs.Add(new SimilarityPair(encoder.Encode(one), encoder.Encode(other), cosine));
        }

        if (pairs.Count == 0)
        {
            throw new InvalidOperationException($"The data has no row to train on: of {skipped} rows each has no text or no label. Look at columns "
                + $"'{options.Sentence1ColumnName}', '{options.Sentence2ColumnName}' and '{options.LabelColumnName}'.");
        }

        return new SimilarityData(pairs, skipped);
    }
}
