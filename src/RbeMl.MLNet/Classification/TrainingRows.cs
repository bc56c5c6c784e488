using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Columns;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Classification;

/// <summary>Labelled texts that a cursor read once: as ids, or as texts as long as the tokenizer is still to be learned.</summary>
internal sealed class TrainingRows
{
    private const int RowsPerCheck = 256;
    private readonly List<int[]> _ids = [];
    private readonly List<int> _labels = [];

    private TrainingRows()
    {
    }

    /// <summary>The texts; empty once they are ids.</summary>
    public List<string> Texts { get; } = [];

    /// <summary>Rows that were left out for want of a label.</summary>
    public int WithoutLabel { get; private set; }

    /// <summary>Rows that were left out for want of a text, or for ids outside the vocabulary.</summary>
    public int WithoutText { get; private set; }

    /// <summary>Rows that were left out.</summary>
    public int Skipped => WithoutLabel + WithoutText;

    /// <summary>The ids of the rows that are left.</summary>
    public IReadOnlyList<int[]> Ids => _ids;

    /// <summary>Reads all rows.</summary>
    /// <param name="data">The data.</param>
    /// <param name="label">Its label column.</param>
    /// <param name="labels">The classes.</param>
    /// <param name="text">Its text column.</param>
    /// <param name="tokenizer">The tokenizer; null keeps texts as they are.</param>
    /// <param name="limits">What the model takes.</param>
    /// <param name="cancel">Ends the reading.</param>
    public static TrainingRows Read(
        IDataView data, DataViewSchema.Column label, ClassLabels labels, DataViewSchema.Column text, ITokenizer? tokenizer, TokenLimits limits,
        CancellationToken cancel)
    {
        TrainingRows rows = new();
        using DataViewRowCursor cursor = data.GetRowCursor([label, text]);
        Func<int> readLabel = labels.Reader(cursor, label);
        bool keepTexts = text.Type is TextDataViewType && tokenizer is null;
        ValueGetter<ReadOnlyMemory<char>>? readText = keepTexts ? cursor.GetGetter<ReadOnlyMemory<char>>(text) : null;
        TokenReader? readIds = keepTexts ? null : new TokenReader(cursor, text, tokenizer, limits);
        ReadOnlyMemory<char> value = default;
        while (cursor.MoveNext())
        {
            if (cursor.Position % RowsPerCheck == 0) cancel.ThrowIfCancellationRequested();
            int known = readLabel();
            if (known < 0)
            {
                rows.WithoutLabel++;
                continue;
            }

            readText?.Invoke(ref value);
            ReadOnlySpan<int> ids = readIds is null ? [] : readIds.Read();
            if (keepTexts ? value.IsEmpty : ids.IsEmpty)
            {
                rows.WithoutText++;
                continue;
            }

            if (keepTexts) rows.Texts.Add(value.ToString());
            else rows._ids.Add(ids.ToArray());
            rows._labels.Add(known);
        }

        return rows;
    }

    /// <summary>Turns the texts into ids.</summary>
    public void Encode(ITokenizer tokenizer, TokenLimits limits)
    {
        foreach (string text in Texts) _ids.Add(limits.Cut(limits.Encode(tokenizer, text)).ToArray());
        Texts.Clear();
    }

    /// <summary>The examples whose ids are all below <paramref name="vocabulary"/>; others are counted as left out.</summary>
    public List<ClassifierExample> Examples(int vocabulary)
    {
        List<ClassifierExample> examples = new(_ids.Count);
        for (int i = 0; i < _ids.Count; i++)
        {
            if (_ids[i].Length > 0 && _ids[i].Max() < vocabulary) examples.Add(new ClassifierExample(_ids[i], _labels[i]));
            else WithoutText++;
        }

        return examples;
    }
}
