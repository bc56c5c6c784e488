using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Columns;

/// <summary>A column that is a text, or its token ids already: numbers, or keys (key k is id k - 1; missing keys are left out).</summary>
internal static class TokenColumn
{
    /// <summary>The types that will do, for messages.</summary>
    public const string Expected = "String, or " + ExpectedIds;

    private const string ExpectedIds = "a vector of Int32, Int64, UInt32 or keys";

    /// <summary>Whether a column of a promise will do.</summary>
    public static bool Fits(SchemaShape.Column column) => column.Kind == SchemaShape.Column.VectorKind.Scalar
        ? column.ItemType is TextDataViewType
        : column.IsKey || IsNumber(column.ItemType);

    /// <summary>Whether a type will do.</summary>
    public static bool Fits(DataViewType type) =>
        type is TextDataViewType || (type is VectorDataViewType vector && (vector.ItemType is KeyDataViewType || IsNumber(vector.ItemType)));

    /// <summary>Finds the column of a fitted model.</summary>
    /// <param name="schema">The schema.</param>
    /// <param name="name">The column.</param>
    /// <param name="hasTokenizer">Whether the model can read texts.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is missing or of another type.</exception>
    public static DataViewSchema.Column Find(DataViewSchema schema, string name, bool hasTokenizer)
        => InputColumn.Find(schema, name, type => Fits(type) && (hasTokenizer || type is VectorDataViewType), hasTokenizer ? Expected : ExpectedIds);

    /// <summary>Token ids that the type itself names: those of keys; null for others.</summary>
    public static ulong? KeyCount(DataViewType type) => type is VectorDataViewType { ItemType: KeyDataViewType key } ? key.Count : null;

    /// <summary>What reads the ids of a column of numbers or keys.</summary>
    public static IdReader Ids(DataViewRow row, DataViewSchema.Column column) => ((VectorDataViewType)column.Type).ItemType switch
    {
        KeyDataViewType { RawType: { } raw } when raw == typeof(byte) => Ids<byte>(row, column, v => v - 1L),
        KeyDataViewType { RawType: { } raw } when raw == typeof(ushort) => Ids<ushort>(row, column, v => v - 1L),
        KeyDataViewType { RawType: { } raw } when raw == typeof(uint) => Ids<uint>(row, column, v => v - 1L),
        KeyDataViewType => Ids<ulong>(row, column, v => v > int.MaxValue ? int.MaxValue : (long)v - 1),
        NumberDataViewType { RawType: { } raw } when raw == typeof(int) => Ids<int>(row, column, v => v < 0 ? IdReader.Bad : v),
        NumberDataViewType { RawType: { } raw } when raw == typeof(uint) => Ids<uint>(row, column, v => v),
        _ => Ids<long>(row, column, v => v < 0 ? IdReader.Bad : v),
    };

    private static IdReader Ids<T>(DataViewRow row, DataViewSchema.Column column, Func<T, long> id) => new IdReader<T>(row.GetGetter<VBuffer<T>>(column), id);

    private static bool IsNumber(DataViewType type) =>
        type == NumberDataViewType.Int32 || type == NumberDataViewType.Int64 || type == NumberDataViewType.UInt32;
}

/// <summary>Reads the token ids of a row.</summary>
internal abstract class IdReader
{
    /// <summary>Stands for a number that is no id.</summary>
    public const long Bad = long.MaxValue;

    /// <summary>The ids of the current row, valid until the next call; null when one is outside 0 .. <paramref name="vocabulary"/> - 1.</summary>
    public abstract List<int>? Read(int vocabulary);
}

/// <inheritdoc/>
internal sealed class IdReader<T>(ValueGetter<VBuffer<T>> getter, Func<T, long> id) : IdReader
{
    private readonly List<int> _ids = [];
    private VBuffer<T> _values;

    public override List<int>? Read(int vocabulary)
    {
        getter(ref _values);
        _ids.Clear();
        foreach (KeyValuePair<int, T> item in _values.Items(all: true))
        {
            long value = id(item.Value);
            if (value == -1) continue;
            if (value >= vocabulary) return null;
            _ids.Add((int)value);
        }

        return _ids;
    }
}

/// <summary>Reads the token ids of a row whose model is known: a text is encoded, what is too long is cut.</summary>
internal sealed class TokenReader
{
    private readonly ValueGetter<ReadOnlyMemory<char>>? _text;
    private readonly IdReader? _ids;
    private readonly ITokenizer? _tokenizer;
    private readonly TokenLimits _limits;
    private ReadOnlyMemory<char> _value;

    /// <summary>Binds to a row.</summary>
    /// <exception cref="InvalidSettingException">The column is a text and the model has no tokenizer.</exception>
    public TokenReader(DataViewRow row, DataViewSchema.Column column, ITokenizer? tokenizer, TokenLimits limits)
    {
        (_tokenizer, _limits) = (tokenizer, limits);
        if (column.Type is TextDataViewType) _text = row.GetGetter<ReadOnlyMemory<char>>(column);
        else _ids = TokenColumn.Ids(row, column);
        if (_text is not null && tokenizer is null)
        {
            throw new InvalidSettingException("Tokenizer", "null",
                $"column '{column.Name}' is a text and the model has no tokenizer. Give a column of token ids, as it was trained with.");
        }
    }

    /// <summary>The ids of the current row, valid until the next call; empty for a missing or empty text, or ids that the model does not know.</summary>
    public ReadOnlySpan<int> Read()
    {
        if (_text is null) return _ids!.Read(_limits.Vocabulary) is { } ids ? _limits.Cut(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(ids)) : [];
        _text(ref _value);
        return _value.IsEmpty ? [] : _limits.Sequence(_tokenizer!, _value.ToString());
    }
}

/// <summary>What a model takes.</summary>
/// <param name="Vocabulary">Token ids.</param>
/// <param name="Context">Most tokens.</param>
/// <param name="KeepEnd">Whether the end of what is too long is kept, in place of the beginning.</param>
/// <param name="Encoder">Of an encoder: how it reads a text; null for a language model.</param>
internal readonly record struct TokenLimits(int Vocabulary, int Context, bool KeepEnd, EncoderSettings? Encoder = null)
{
    /// <summary>Tokens that begin and end a sequence of an encoder.</summary>
    public const int Ends = 2;

    /// <summary>
    /// The ids of a text as they go through the model: an encoder's begin and end with tokens of their own, and its prompt goes before the
    /// text.
    /// </summary>
    public ReadOnlySpan<int> Sequence(ITokenizer tokenizer, string text)
    {
        if (Encoder is null || tokenizer is not WordPieceTokenizer words) return Cut(Encode(tokenizer, text));
        TokenLimits inner = this with { Context = Context - Ends };
        ReadOnlySpan<int> ids = inner.Cut(Encode(words, Encoder.Prompt(null) + text));
        return words.Sequence(ids);
    }

    /// <summary>What is kept of some ids.</summary>
    public ReadOnlySpan<int> Cut(ReadOnlySpan<int> ids) => ids.Length <= Context ? ids : KeepEnd ? ids[^Context..] : ids[..Context];

    /// <summary>The ids of a text; none when it holds something that the tokenizer has no id for, or the model none of the tokenizer's.</summary>
    public ReadOnlySpan<int> Encode(ITokenizer tokenizer, string text)
    {
        try
        {
            return tokenizer.EncodeFor(text, Vocabulary);
        }
        catch (TokenException)
        {
            return [];
        }
    }
}
