using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Files;
using RbeMl.MLNet.Rows;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Tokens;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Features;

/// <summary>Columns and run-time settings.</summary>
/// <param name="Output">Name of the features.</param>
/// <param name="Input">Name of the text or ids.</param>
/// <param name="MaxTokens">Tokens used.</param>
/// <param name="KeepEnd">Whether the end of what is too long is kept.</param>
/// <param name="BatchRows">Rows computed together.</param>
/// <param name="Threads">Threads; 0 for one a processor.</param>
internal sealed record FeaturizeColumns(string Output, string Input, int MaxTokens, bool KeepEnd, int BatchRows, int Threads);

/// <summary>
/// Texts as vectors of D features from a GPT-2. A missing or empty text, one that the tokenizer cannot encode, and ids outside the vocabulary give NaN in
/// their own row.
/// </summary>
public sealed class FeaturizeTransformer : RbeTransformer, ILoadable<FeaturizeTransformer>
{
    private readonly FeaturizeColumns _columns;
    private readonly WorkspacePool _pool;

    internal FeaturizeTransformer(IHostEnvironment environment, FeaturizeColumns columns, FeatureOptions features, TransformerModel<float> model,
        ITokenizer? tokenizer)
        : base(environment, Name)
    {
        (_columns, Settings, Model, Tokenizer) = (columns, features, model, tokenizer);
        _pool = new WorkspacePool(columns.Threads);
    }

    static string ILoadable<FeaturizeTransformer>.Name => Name;

    /// <summary>
    /// The model. It is this transformer's: train on a copy, <c>new TransformerModel&lt;float&gt;(Model.GetWeights())</c>, and do not
    /// dispose it.
    /// </summary>
    public TransformerModel<float> Model { get; }

    /// <summary>The tokenizer, or null for a column of ids.</summary>
    public ITokenizer? Tokenizer { get; }

    /// <summary>Layer and pooling.</summary>
    public FeatureOptions Settings { get; }

    internal FeaturizeColumns Columns => _columns;

    internal static string Name => "RbeFeaturize";

    static FeaturizeTransformer ILoadable<FeaturizeTransformer>.Read(IHostEnvironment environment, BinaryReader reader, int version)
    {
        FeaturizeColumns columns = new(
            ColumnName.Read(reader, nameof(FeaturizeColumns.Output)), ColumnName.Read(reader, nameof(FeaturizeColumns.Input)),
            reader.ReadInt32(), reader.ReadBoolean(), reader.ReadInt32(), reader.ReadInt32());
        RunLimits.CheckRows(nameof(FeaturizeColumns.BatchRows), columns.BatchRows);
        RunLimits.CheckThreads(columns.Threads);
        FeatureOptions features = new() { Layer = reader.ReadInt32(), Pooling = (Pooling)reader.ReadInt32() };
        ModelBundle bundle = ModelFile.Load(reader.BaseStream, Name);
        try
        {
            SavedTokenizer.RequireRead(Name, bundle.TokenizerProblem);
            features.Resolve(bundle.Model.Config.Layers);
            if (columns.MaxTokens >= 1 && columns.MaxTokens <= bundle.Model.Config.MaxSequenceLength)
            {
                return new FeaturizeTransformer(environment, columns, features, bundle.Model, bundle.Tokenizer);
            }

            throw ComponentFile.Bad(Name,
                $"name {columns.MaxTokens} tokens for {bundle.Model.Config.MaxSequenceLength} positions. They are damaged; save the component again.");
        }
        catch
        {
            bundle.Dispose();
            throw;
        }
    }

    private protected override RowMapping Bind(DataViewSchema input)
    {
        DataViewSchema.Column source = InputColumn.Find(input, _columns.Input, TokenColumn.Fits, TokenColumn.Expected);
        if (source.Type is TextDataViewType && Tokenizer is null)
        {
            throw new InvalidSettingException("Tokenizer", null,
                $"column '{_columns.Input}' is a text and the model brings no tokenizer. Give one, or a column of token ids.");
        }

        return new Mapping(this, input, source);
    }

    private protected override void Write(BinaryWriter writer)
    {
        SavedTokenizer.Require(Tokenizer);
        writer.Write(_columns.Output);
        writer.Write(_columns.Input);
        writer.Write(_columns.MaxTokens);
        writer.Write(_columns.KeepEnd);
        writer.Write(_columns.BatchRows);
        writer.Write(_columns.Threads);
        writer.Write(Settings.Layer ?? Model.Config.Layers);
        writer.Write((int)Settings.Pooling);
        writer.Flush();
        ModelFile.Save(writer.BaseStream, Model, Tokenizer);
    }

    private void WarnOfEmptyRow()
    {
        WarnOnce("A row of '{0}' has no tokens that the model knows. Its features are NaN; further ones are not reported.", _columns.Input);
    }

    private sealed class Mapping(FeaturizeTransformer parent, DataViewSchema input, DataViewSchema.Column source)
        : RowMapping(input, [source], [new AddedColumn(parent._columns.Output, new VectorDataViewType(NumberDataViewType.Single, parent.Model.Config.Width))])
    {
        public override int BatchRows => parent._columns.BatchRows;

        public override RowBatch CreateBatch(DataViewRow input, int rows) => new Batch(parent, input, Sources[0], rows);
    }

    private sealed class Batch : RowBatch
    {
        private readonly FeaturizeTransformer _parent;
        private readonly TokenReader _reader;
        private readonly int[] _lengths; // tokens of each slot, 0 for a missing row
        private readonly List<int> _tokens = [];
        private float[] _features = []; // [rows so far, D]: a look-ahead grows, and most data end before it is full
        private int[] _counts = [];
        private float[] _computed = [];

        public Batch(FeaturizeTransformer parent, DataViewRow input, DataViewSchema.Column source, int rows)
        {
            _parent = parent;
            _reader = new TokenReader(input, source, parent.Tokenizer,
                new TokenLimits(parent.Model.Config.Vocabulary, parent._columns.MaxTokens, parent._columns.KeepEnd));
            _lengths = new int[rows];
        }

        private int Width => _parent.Model.Config.Width;

        public override void Read(int slot)
        {
            if (slot == 0) _tokens.Clear();
            ReadOnlySpan<int> ids = _reader.Read();
            _lengths[slot] = ids.Length;
            _tokens.AddRange(ids);
        }

        public override void Compute(int rows)
        {
            if (_features.Length < (long)rows * Width) _features = new float[(long)rows * Width];
            int good = _lengths.AsSpan(0, rows).Length - _lengths.AsSpan(0, rows).Count(0);
            if (_counts.Length != good) (_counts, _computed) = (new int[good], new float[checked(good * Width)]);
            for (int slot = 0, i = 0; slot < rows; slot++)
            {
                if (_lengths[slot] > 0) _counts[i++] = _lengths[slot];
            }

            if (good > 0)
            {
                using WorkspacePool.Lease lease = _parent._pool.Rent();
                _parent.Model.Features(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_tokens), _counts, _parent.Settings,
                    lease.Workspace, _computed);
                ForwardCounter.Add(good);
            }

            for (int slot = 0, i = 0; slot < rows; slot++)
            {
                Span<float> row = _features.AsSpan(slot * Width, Width);
                if (_lengths[slot] > 0)
                {
                    _computed.AsSpan(i++ * Width, Width).CopyTo(row);
                    continue;
                }

                row.Fill(float.NaN);
                _parent.WarnOfEmptyRow();
            }
        }

        public override Delegate Getter(int added) => new SlotGetter<VBuffer<float>>((int slot, ref VBuffer<float> value) =>
        {
            VBufferEditor<float> editor = VBufferEditor.Create(ref value, Width);
            _features.AsSpan(slot * Width, Width).CopyTo(editor.Values);
            value = editor.Commit();
        });
    }
}
