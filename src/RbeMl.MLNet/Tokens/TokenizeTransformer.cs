using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Rows;
using RbeMl.Text;

namespace RbeMl.MLNet.Tokens;

/// <summary>Turns a text column into token ids.</summary>
public sealed class TokenizeTransformer : RbeTransformer, ILoadable<TokenizeTransformer>
{
    internal TokenizeTransformer(IHostEnvironment environment, TokenizeOptions options)
        : base(environment, Name) => Options = options;

    /// <summary>The name models refer to it by.</summary>
    internal static string Name => "RbeTokenize";

    static string ILoadable<TokenizeTransformer>.Name => Name;

    /// <summary>The settings.</summary>
    internal TokenizeOptions Options { get; }

    static TokenizeTransformer ILoadable<TokenizeTransformer>.Read(IHostEnvironment environment, BinaryReader reader)
    {
        string output = reader.ReadString(), input = reader.ReadString();
        int length = reader.ReadInt32();
        using JsonDocument json = JsonDocument.Parse(reader.ReadString());
        return new TokenizeTransformer(environment, new TokenizeOptions { OutputColumnName = output, InputColumnName = input, MaxTokens = length, Tokenizer = TokenizerJson.Load(json.RootElement) });
    }

    /// <summary>The columns added for some settings.</summary>
    internal static AddedColumn[] Added(TokenizeOptions options) => [new(options.OutputColumnName, new VectorDataViewType(NumberDataViewType.Int32))];

    private protected override RowMapping Bind(DataViewSchema input) => new Mapping(this, input);

    private protected override void Write(BinaryWriter writer)
    {
        writer.Write(Options.OutputColumnName);
        writer.Write(Options.InputColumnName);
        writer.Write(Options.MaxTokens);
        writer.Write(TokenizerJson.Save(Options.Tokenizer).ToJsonString());
    }

    private sealed class Mapping(TokenizeTransformer parent, DataViewSchema input)
        : RowMapping(input, [InputColumn.Find(input, parent.Options.InputColumnName, type => type is TextDataViewType, "String")], Added(parent.Options))
    {
        public override int BatchRows => 1;

        public override RowBatch CreateBatch(DataViewRow input, int rows) => new Batch(parent.Options, input.GetGetter<ReadOnlyMemory<char>>(Sources[0]));
    }

    private sealed class Batch(TokenizeOptions options, ValueGetter<ReadOnlyMemory<char>> text) : RowBatch
    {
        private ReadOnlyMemory<char> _text;
        private int[] _ids = [];

        public override void Read(int slot) => text(ref _text);

        public override void Compute(int rows) => _ids = options.Tokenizer.Encode(_text.ToString());

        public override Delegate Getter(int added) => new SlotGetter<VBuffer<int>>((int slot, ref VBuffer<int> value) =>
        {
            int count = Math.Min(_ids.Length, options.MaxTokens);
            VBufferEditor<int> editor = VBufferEditor.Create(ref value, count);
            _ids.AsSpan(0, count).CopyTo(editor.Values);
            value = editor.Commit();
        });
    }
}
