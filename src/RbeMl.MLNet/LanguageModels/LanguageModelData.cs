using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Training;
using RbeMl.Text;

namespace RbeMl.MLNet.LanguageModels;

/// <summary>The data of a training: a sequence of token ids for each row of two tokens or more.</summary>
/// <param name="Vocabulary">Token ids of the model.</param>
/// <param name="Train">To train on.</param>
/// <param name="Validation">To validate on; empty for none.</param>
/// <param name="SkippedRows">Rows that were left out.</param>
/// <param name="EndToken">The tokenizer's id of the end of a text, where it has one that the model knows.</param>
internal sealed record LanguageModelData(int Vocabulary, IReadOnlyList<int[]> Train, IReadOnlyList<int[]> Validation, int SkippedRows, int? EndToken)
{
    private const int RowsPerCheck = 256;

    /// <summary>Reads training and validation data; learns the tokenizer, from the training rows, where the model is new and none is given.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column of the validation data is missing or of another type.</exception>
    /// <exception cref="InvalidOperationException">There is no row to train or validate on.</exception>
    public static LanguageModelData Read(LanguageModelOptions options, IDataView input, StartingModel start, ulong seed, TrainingLog log)
    {
        (DataViewType type, List<Row> train) = Rows(options, input);
        List<Row> validation = [];
        if (options.Validation is { } view)
        {
            (DataViewType own, validation) = Rows(options, view);
            if (own is TextDataViewType != type is TextDataViewType)
            {
                throw new InvalidSettingException(nameof(options.Validation), own,
                    $"column '{options.TextColumnName}' is {type} in the training data. Use the same transformer for both.");
            }
        }
        else if (options.ValidationFraction > 0)
        {
            (train, validation) = Split(train, options.ValidationFraction, seed);
        }

        if (type is TextDataViewType && start.LearnsTokenizer)
        {
            List<string> texts = [.. train.Select(r => r.Text ?? "").Where(t => t.Length > 0)];
            start.LearnTokenizer(texts.Count > 0 ? texts : throw NoRows("Training"));
        }

        // A new model for ids knows those of the key's type, or those it is trained on.
        int vocabulary = start.Vocabulary
            ?? (TokenColumn.KeyCount(type) is { } keys and <= int.MaxValue ? (int)keys : NewVocabulary.Of(options.TextColumnName, train.Select(r => r.Ids)));
        int rows = train.Count + validation.Count;
        List<int[]> examples = Encode(train, start.Tokenizer, vocabulary), held = Encode(validation, start.Tokenizer, vocabulary);
        int skipped = rows - examples.Count - held.Count;
        if (skipped > 0) log.Warn($"{skipped} rows of fewer than two tokens, or with something that the model does not know, are left out of the training");
        if (examples.Count == 0) throw NoRows("Training");
        if (held.Count == 0 && (options.Validation is not null || options.ValidationFraction > 0)) throw NoRows("Validation");
        int? end = start.Tokenizer?.EndToken is { } id && id < vocabulary ? id : null;
        return new LanguageModelData(vocabulary, examples, held, skipped, end);

        InvalidOperationException NoRows(string what) => new(
            $"{what} data has no row to use: none has two tokens that the model knows. Look at column '{options.TextColumnName}' and the tokenizer.");
    }

    private static (DataViewType Type, List<Row> Rows) Rows(LanguageModelOptions options, IDataView data)
    {
        DataViewSchema.Column column = InputColumn.Find(data.Schema, options.TextColumnName, TokenColumn.Fits, TokenColumn.Expected);
        List<Row> rows = [];
        using DataViewRowCursor cursor = data.GetRowCursor([column]);
        ValueGetter<ReadOnlyMemory<char>>? text = column.Type is TextDataViewType ? cursor.GetGetter<ReadOnlyMemory<char>>(column) : null;
        IdReader? ids = text is null ? TokenColumn.Ids(cursor, column) : null;
        ReadOnlyMemory<char> value = default;
        while (cursor.MoveNext())
        {
            if (cursor.Position % RowsPerCheck == 0) options.Cancellation.ThrowIfCancellationRequested();
            text?.Invoke(ref value);
            rows.Add(text is null ? new Row(null, ids!.Read(int.MaxValue)?.ToArray()) : new Row(value.ToString(), null));
        }

        return rows.Count > 0 ? (column.Type, rows)
            : throw new InvalidOperationException($"The data has no rows. Look at what column '{options.TextColumnName}' was loaded from.");
    }

    // Random places of the seed, at least one, and one is left; both parts stay in the data's order.
    private static (List<Row> Train, List<Row> Validation) Split(List<Row> rows, double fraction, ulong seed)
    {
        int held = Math.Max(1, (int)Math.Round(fraction * rows.Count));
        if (held >= rows.Count)
        {
            string mend = rows.Count > 1 ? "Use a smaller one" : "Give more rows";
            throw new InvalidSettingException(nameof(FineTuningOptions.ValidationFraction), fraction,
                $"of {rows.Count} rows it would hold out {held} and leave none to train on. {mend}, or give {nameof(FineTuningOptions.Validation)}.");
        }

        int[] places = [.. Enumerable.Range(0, rows.Count)];
        new Random(unchecked((int)seed)).Shuffle(places);
        HashSet<int> chosen = [.. places.Take(held)];
        return ([.. rows.Where((_, i) => !chosen.Contains(i))], [.. rows.Where((_, i) => chosen.Contains(i))]);
    }

    private static List<int[]> Encode(List<Row> rows, ITokenizer? tokenizer, int vocabulary)
    {
        TokenLimits limits = new(vocabulary, int.MaxValue, false);
        List<int[]> sequences = new(rows.Count);
        foreach (Row row in rows)
        {
            int[] ids = row.Text is { } text ? limits.Encode(tokenizer!, text).ToArray() : row.Ids ?? [];
            if (ids.Length >= 2 && ids.Max() < vocabulary) sequences.Add(ids);
        }

        return sequences;
    }

    /// <summary>A row as it was read: a text, or ids (null when one is negative).</summary>
    private readonly record struct Row(string? Text, int[]? Ids);
}
