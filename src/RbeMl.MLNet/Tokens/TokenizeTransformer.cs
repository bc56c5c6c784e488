using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Rows;
using RbeMl.Text;

namespace RbeMl.MLNet.Tokens;

/// <summary>
/// Turns a text column into tokens. A missing or empty text has none; neither has one that the tokenizer cannot encode, of which the first is warned of.
/// </summary>
public sealed class TokenizeTransformer : RbeTransformer, ILoadable<TokenizeTransformer>
{
    private readonly TokenizeOptions _options;

    internal TokenizeTransformer(IHostEnvironment environment, TokenizeOptions options)
        : base(environment, Name) => _options = options;

    static string ILoadable<TokenizeTransformer>.Name => Name;

    /// <summary>The tokenizer.</summary>
    public ITokenizer Tokenizer => _options.Tokenizer;

    internal static string Name => "RbeTokenize";

    static TokenizeTransformer ILoadable<TokenizeTransformer>.Read(IHostEnvironment environment, BinaryReader reader, int version)
    {
        TokenizeOptions options =
            new()
            {
                OutputColumnName = reader.ReadString(),
                InputColumnName = reader.ReadString(),
                Values = (TokenValues)reader.ReadInt32(),
                MaxTokens = reader.ReadInt32()
            };
        using JsonDocument json = JsonDocument.Parse(reader.ReadString());
        options.Tokenizer = TokenizerJson.Load(json.RootElement);
        return new TokenizeTransformer(environment, options.Checked());
    }

    /// <summary>The column added for some settings.</summary>
    internal static AddedColumn Added(TokenizeOptions options)
    {
        if (options.Values == TokenValues.Ids) return new(options.OutputColumnName, new VectorDataViewType(NumberDataViewType.Int32));
        int count = options.Tokenizer.Vocabulary;
        DataViewSchema.Annotations.Builder annotations = new();
        annotations.Add("KeyValues", new VectorDataViewType(TextDataViewType.Instance, count), (ref VBuffer<ReadOnlyMemory<char>> value) =>
        {
            VBufferEditor<ReadOnlyMemory<char>> editor = VBufferEditor.Create(ref value, count);
            for (int id = 0; id < count; id++) editor.Values[id] = options.Tokenizer.Decode([id]).AsMemory();
            value = editor.Commit();
        });
        return new(options.OutputColumnName, new VectorDataViewType(new KeyDataViewType(typeof(uint), count)), annotations.ToAnnotations());
    }

    private protected override RowMapping Bind(DataViewSchema input) => new Mapping(this, input);

    private protected override void Write(BinaryWriter writer)
    {
        SavedTokenizer.Require(_options.Tokenizer);
        writer.Write(_options.OutputColumnName);
        writer.Write(_options.InputColumnName);
        writer.Write((int)_options.Values);
        writer.Write(_options.MaxTokens);
        writer.Write(TokenizerJson.Save(_options.Tokenizer).ToJsonString());
    }

    private int[] Encode(ReadOnlyMemory<char> text)
    {
        try
        {
            int[] ids = _options.Tokenizer.Encode(text.ToString());
            return _options.MaxTokens > 0 && ids.Length > _options.MaxTokens ? ids[.._options.MaxTokens] : ids;
        }
        catch (TokenException error)
        {
            WarnOnce("A text of '{0}' has no tokens: {1} Further ones are not reported.", _options.InputColumnName, error.Message);
            return [];
        }
    }

    private sealed class Mapping(TokenizeTransformer parent, DataViewSchema input)
        : RowMapping(input, [InputColumn.Find(input, parent._options.InputColumnName, type => type is TextDataViewType, "String")], [Added(parent._options)])
    {
        public override int BatchRows => 1;

        public override RowBatch CreateBatch(DataViewRow input, int rows) => new Batch(parent, input.GetGetter<ReadOnlyMemory<char>>(Sources[0]));
    }

    private sealed class Batch(TokenizeTransformer parent, ValueGetter<ReadOnlyMemory<char>> text) : RowBatch
    {
        private ReadOnlyMemory<char> _text;
        private int[] _ids = [];

        public override void Read(int slot) => text(ref _text);

        public override void Compute(int rows) => _ids = parent.Encode(_text);

        public override Delegate Getter(int added) => parent._options.Values == TokenValues.Keys
            ? new SlotGetter<VBuffer<uint>>((int slot, ref VBuffer<uint> value) =>
            {
                VBufferEditor<uint> editor = VBufferEditor.Create(ref value, _ids.Length);
                for (int i = 0; i < _ids.Length; i++) editor.Values[i] = (uint)_ids[i] + 1;
                value = editor.Commit();
            })
            : new SlotGetter<VBuffer<int>>((int slot, ref VBuffer<int> value) =>
            {
                VBufferEditor<int> editor = VBufferEditor.Create(ref value, _ids.Length);
                _ids.CopyTo(editor.Values);
                value = editor.Commit();
            });
    }
}
