using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Rows;
using RbeMl.MLNet.Runtime;

namespace RbeMl.MLNet.Blocks;

/// <summary>A compressed Transformer block over a column of activations: [T, D] in, [T, D] out.</summary>
public sealed class TransformerBlockTransformer : RbeTransformer, ILoadable<TransformerBlockTransformer>
{
    private readonly BlockColumns _columns;

    internal TransformerBlockTransformer(IHostEnvironment environment, BlockColumns columns, TransformerConfig config, BlockWeights weights)
        : base(environment, Name)
    {
        _columns = columns;
        Config = config;
        Weights = weights;
        Block = new RbeTransformerBlock<float>(config, weights);
        Pool = new WorkspacePool(columns.Threads);
    }

    static string ILoadable<TransformerBlockTransformer>.Name => Name;

    /// <summary>Shapes.</summary>
    public TransformerConfig Config { get; }

    /// <summary>The compressed weights. <c>new RbeTransformerBlock&lt;float&gt;(Config, Weights)</c> is a block of one's own, to train.</summary>
    public BlockWeights Weights { get; }

    internal static string Name => "RbeBlock";

    internal BlockColumns Columns => _columns;

    internal RbeTransformerBlock<float> Block { get; }

    internal WorkspacePool Pool { get; }

    static TransformerBlockTransformer ILoadable<TransformerBlockTransformer>.Read(IHostEnvironment environment, BinaryReader reader, int version)
    {
        string output = ColumnName.Read(reader, nameof(BlockColumns.Output)), input = ColumnName.Read(reader, nameof(BlockColumns.Input));
        string? mask = ColumnName.ReadOptional(reader, nameof(BlockColumns.Mask));
        BlockColumns columns = new(output, input, mask, reader.ReadBoolean(), reader.ReadInt32(), reader.ReadInt32());
        RunLimits.CheckTokens(nameof(BlockColumns.BatchTokens), columns.BatchTokens);
        RunLimits.CheckThreads(columns.Threads);
        (TransformerConfig config, BlockWeights weights) = BlockFile.Load(reader.BaseStream);
        return new TransformerBlockTransformer(environment, columns, config, weights);
    }

    internal void WarnOfBadRow()
    {
        WarnOnce("A row of '{0}' cannot be computed: it holds NaN, infinity or values too large, or is not n x {1} values with n up to "
            + "{2} and a mask of n. Its output is NaN; further rows of the kind are not reported.", _columns.Input, Config.Width, Config.MaxSequenceLength);
    }

    private protected override RowMapping Bind(DataViewSchema input)
    {
        (DataViewSchema.Column[] sources, int tokens) = _columns.Find(input, Config.Width, Config.MaxSequenceLength);
        return new Mapping(this, input, sources, tokens);
    }

    private protected override void Write(BinaryWriter writer)
    {
        writer.Write(_columns.Output);
        writer.Write(_columns.Input);
        writer.Write(_columns.Mask is not null);
        if (_columns.Mask is not null) writer.Write(_columns.Mask);
        writer.Write(_columns.Variable);
        writer.Write(_columns.BatchTokens);
        writer.Write(_columns.Threads);
        writer.Flush();
        BlockFile.Save(writer.BaseStream, Config, Weights);
    }

    private sealed class Mapping(TransformerBlockTransformer parent, DataViewSchema input, DataViewSchema.Column[] sources, int tokens)
        : RowMapping(input, sources, [parent._columns.Added(new VectorDataViewType(NumberDataViewType.Single, tokens == 0 ? 0 : tokens * parent.Config.Width))])
    {
        // Rows of unknown length are taken to be of 64 tokens.
        public override int BatchRows => Math.Clamp(parent._columns.BatchTokens / (tokens == 0 ? 64 : tokens), 1, RunLimits.Rows);

        public override RowBatch CreateBatch(DataViewRow input, int rows) => new BlockBatch(parent, input, Sources, rows);
    }
}
