// What a dashboard of Grafana may hold, by Grafana's own types. A test writes each dashboard of the
// folder above into a .ts file beside this one and has it checked.

import type { Dashboard, FieldConfig, FieldConfigSource, GraphFieldConfig, Panel, RowPanel, TableFieldOptions } from '@grafana/schema';
import type { Options as BarChart, FieldConfig as BarChartField } from '@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen';
import type { Options as PieChart } from '@grafana/schema/dist/esm/raw/composable/piechart/panelcfg/x/PieChartPanelCfg_types.gen';
import type { Options as Stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as Table } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { Options as TimeSeries } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// A type as JSON has it: a value of an enumeration is a plain text there.
type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

// A panel of one type, with the options and the field settings that this type has.
type PanelOf<Type, Options, Custom = Record<string, never>> = Json<
  Omit<Panel, 'type' | 'options' | 'targets' | 'id' | 'gridPos' | 'description' | 'fieldConfig'>
> & {
  type: Type;
  fieldConfig: {
    defaults: Json<Omit<FieldConfig, 'custom'>> & { custom?: Json<Custom> };
    overrides: Json<FieldConfigSource['overrides']>;
  };
  id: number;
  description: string;
  options: Json<Options>;
  targets: Target[];
  gridPos: { x: number; y: number; w: number; h: number };
};

type Source = { type: string; uid: string };

type Prometheus = {
  refId: string;
  datasource: Source;
  expr: string;
  legendFormat: string;
  editorMode: 'code';
  range: boolean;
  instant: boolean;
};

// What the Infinity data source's documentation says of a query with the parser "backend".
type Column = { selector: string; text: string; type: 'string' | 'number' | 'timestamp' | 'timestamp_epoch' };
type Infinity = {
  refId: string;
  datasource: Source;
  type: 'json';
  source: 'url';
  parser: 'backend';
  format: 'table';
  url: string;
  url_options: { method: 'GET'; data: string };
  root_selector: string;
  columns: Column[];
  computed_columns: Column[];
};

type Target = Prometheus | Infinity;

export type Board = Json<Omit<Dashboard, 'panels'>> & {
  uid: string;
  title: string;
  panels: Array<
    | Json<RowPanel>
    | PanelOf<'stat', Stat>
    | PanelOf<'timeseries', TimeSeries, GraphFieldConfig>
    | PanelOf<'table', Table, TableFieldOptions>
    | PanelOf<'piechart', PieChart>
    | PanelOf<'barchart', BarChart, BarChartField>
  >;
};
