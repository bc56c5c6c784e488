using Microsoft.ML.Data;
using RbeMl.Kernels;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Runtime;
using RbeMl.Models;

namespace RbeMl.MLNet.LanguageModels;

/// <summary>What a fitted language model reads, adds and does.</summary>
/// <param name="TextColumn">The column that is read.</param>
/// <param name="Perplexity">The column of the perplexity, or null.</param>
/// <param name="GeneratedText">The column of the continuation, or null.</param>
/// <param name="Context">Tokens of a window.</param>
/// <param name="Generation">How texts are continued.</param>
internal sealed record LanguageModelSettings(string TextColumn, string? Perplexity, string? GeneratedText, int Context, GenerationOptions Generation)
{
    /// <summary>Most end tokens, and most stop strings.</summary>
    public const int Most = 1 << 10;

    /// <summary>The columns added; the perplexity comes first.</summary>
    public static IReadOnlyList<AddedColumn> Added(string? perplexity, string? generatedText)
    {
        List<AddedColumn> added = [];
        if (perplexity is not null) added.Add(new AddedColumn(perplexity, NumberDataViewType.Single));
        if (generatedText is not null) added.Add(new AddedColumn(generatedText, TextDataViewType.Instance));
        return added;
    }

    /// <summary>Writes everything.</summary>
    public void Write(BinaryWriter writer)
    {
        writer.Write(TextColumn);
        Optional(Perplexity);
        Optional(GeneratedText);
        writer.Write(Context);
        writer.Write(Generation.MaxTokens);
        writer.Write(Generation.Temperature);
        writer.Write(Generation.TopK);
        writer.Write(Generation.TopP);
        writer.Write(Generation.Seed);
        writer.Write(Generation.MinP);
        writer.Write(Generation.RepetitionPenalty);
        writer.Write(Generation.IgnoreEnd);
        writer.Write(Generation.EndTokens?.Count ?? -1);
        foreach (int id in Generation.EndTokens ?? []) writer.Write(id);
        writer.Write(Generation.StopStrings.Count);
        foreach (string stop in Generation.StopStrings) writer.Write(stop);
        writer.Write((int)Generation.KvFormat);

        void Optional(string? name)
        {
            writer.Write(name is not null);
            if (name is not null) writer.Write(name);
        }
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <param name="reader">The bytes.</param>
    /// <param name="version">The component's version; those before 2 have no more than seed and probabilities, those before 3 no cache format.</param>
    /// <exception cref="InvalidSettingException">A setting of generation is out of range.</exception>
    public static LanguageModelSettings Read(BinaryReader reader, int version)
    {
        string text = ColumnName.Read(reader, nameof(TextColumn));
        string? perplexity = ColumnName.ReadOptional(reader, nameof(Perplexity)), generated = ColumnName.ReadOptional(reader, nameof(GeneratedText));
        int context = reader.ReadInt32();
        GenerationOptions generation = new()
        {
            MaxTokens = reader.ReadInt32(),
            Temperature = reader.ReadDouble(),
            TopK = reader.ReadInt32(),
            TopP = reader.ReadDouble(),
            Seed = reader.ReadUInt64(),
        };
        RunLimits.CheckNewTokens(nameof(generation.MaxTokens), generation.MaxTokens);
        if (version >= 2)
        {
            generation = generation with
            {
                MinP = reader.ReadDouble(),
                RepetitionPenalty = reader.ReadDouble(),
                IgnoreEnd = reader.ReadBoolean(),
                EndTokens = Count(-1) is >= 0 and var ends ? [.. Enumerable.Range(0, ends).Select(_ => reader.ReadInt32())] : null,
                StopStrings = Enumerable.Range(0, Count(0)).Select(_ => reader.ReadString()).ToArray(),
            };
        }

        if (version >= 3) generation = generation with { KvFormat = (KvFormat)reader.ReadInt32() };
        return new LanguageModelSettings(text, perplexity, generated, context, generation.Validate());

        int Count(int least)
        {
            int count = reader.ReadInt32();
            return count >= least && count <= Most ? count : throw new InvalidSettingException("count", count, $"at most {Most} are kept.");
        }
    }
}
